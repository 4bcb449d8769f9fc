"""What callers on hold hear: a soft tone of our own making, as mu-law.

Both tones are quiet (-25 dB below full scale), fade in and out, and repeat.
"""

import math
import struct
from typing import Final

from backhaul.core.g711 import MULAW_RATE_HZ, encode
from backhaul.core.profile import HoldToneKind

__all__ = ["TONE_AHEAD_S", "HoldTone", "tone"]

TONE_AHEAD_S: Final = 0.2
"""How much tone is given to the carrier ahead of being heard (s): what a loop that
is late by less leaves unheard. What is left of it is dropped when speech comes."""

_PEAK: Final = 1800
_FADE_S: Final = 0.03


def tone(kind: HoldToneKind) -> bytes:
    """Return one period of a tone (mu-law); it begins with sound.

    Source: the pair of 440 and 480 Hz is the ring-back of North America (ANSI T1.401),
    with shorter pauses here.
    """
    match kind:
        case HoldToneKind.RING:
            return _period((440.0, 480.0), sounds_s=1.0, period_s=3.0)
        case HoldToneKind.CHIME:  # pragma: no branch - the last of all kinds
            return _period((523.25, 659.25), sounds_s=0.35, period_s=2.0)


def _period(
    pitches_hz: tuple[float, ...], *, sounds_s: float, period_s: float
) -> bytes:
    samples = [
        round(
            _PEAK
            * _envelope(n / MULAW_RATE_HZ, sounds_s)
            * sum(math.sin(2 * math.pi * hz * n / MULAW_RATE_HZ) for hz in pitches_hz)
            / len(pitches_hz)
        )
        for n in range(round(sounds_s * MULAW_RATE_HZ))
    ]
    silence = [0] * (round(period_s * MULAW_RATE_HZ) - len(samples))
    both = samples + silence
    return encode(struct.pack(f"<{len(both)}h", *both))


def _envelope(at_s: float, sounds_s: float) -> float:
    return min(at_s / _FADE_S, (sounds_s - at_s) / _FADE_S, 1.0)


class HoldTone:
    """Deals a tone out as it is heard; *now* is monotonic time in seconds."""

    def __init__(self, period: bytes, *, now: float) -> None:
        """Begin to play *period*, over and over, at *now*."""
        self._period = period
        self._began_at = now
        self._dealt = 0

    def due(self, *, now: float) -> bytes:
        """Return what must be given to the carrier now."""
        wanted = round((now + TONE_AHEAD_S - self._began_at) * MULAW_RATE_HZ)
        count = max(wanted - self._dealt, 0)
        start = self._dealt % len(self._period)
        self._dealt += count
        repeats = (start + count) // len(self._period) + 1
        return (self._period * repeats)[start : start + count]
