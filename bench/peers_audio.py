"""Audio for `peers.py` that tells when it was sent, and who listens for that.

Where a system passes mu-law through untouched, every piece carries a *stamp*: the time
at which it was sent, on the clock that all processes read. Where a system decodes and
resamples, only loudness survives: then one piece a second is a loud *pulse* among
silence, and the n-th one heard is the n-th one sent.
"""

import struct
from array import array
from collections.abc import Callable
from typing import Final, Protocol

__all__ = [
    "BYTES_PER_S",
    "Delays",
    "Ear",
    "PulseEar",
    "PulseVoice",
    "StampEar",
    "StampVoice",
    "Voice",
    "Window",
    "loud_mulaw",
    "loud_pcm",
    "match_pulses",
    "pulses_of",
]

BYTES_PER_S: Final = 8000
_MAGIC: Final = b"\x01\x02\x03\x04"
_STAMP: Final = struct.Struct("!4sd")
_SILENCE: Final = b"\xff"
_PULSE_S: Final = 0.02
_PULSE_EVERY_S: Final = 1.0
_REFRACTORY_S: Final = 0.5
"""What is loud so soon after a pulse is the rest of it."""
_HALF_WAVE_BYTES: Final = 8
"""500 Hz: passes any resampler."""
_LOUD_PCM: Final = 6000
_LOUD_MULAW: Final = 0x60
_QUIET_MULAW: Final = bytes(b for b in range(256) if (~b & 0x7F) < _LOUD_MULAW)


class Window:
    """The time in which what is sent counts (monotonic s); closed until it is set."""

    def __init__(self) -> None:
        self.from_s = self.until_s = float("inf")

    def set(self, from_s: float, until_s: float) -> None:
        """Open it for that time."""
        self.from_s, self.until_s = from_s, until_s

    def holds(self, at_s: float) -> bool:
        """Tell whether *at_s* is in it."""
        return self.from_s <= at_s < self.until_s


class Voice(Protocol):
    """One direction of one call, where it is sent."""

    def piece(self, now: float) -> bytes:
        """Return the next piece of audio."""
        ...


class Ear(Protocol):
    """One direction of one call, where it arrives."""

    def hear(self, audio: bytes, now: float) -> None:
        """Take audio, in whatever pieces it comes."""
        ...


class Delays:
    """What arrived of the stamped pieces that were sent in the window."""

    def __init__(self) -> None:
        self.seconds = array("d")

    def figures(self) -> list[float]:
        """Return all delays (ms)."""
        return [round(delay * 1000, 3) for delay in self.seconds]


class StampVoice:
    """Silence, each piece with its time of sending in front."""

    def __init__(self, piece_s: float, window: Window) -> None:
        self.sent = 0
        """Pieces sent in the window."""
        self._window = window
        self._rest = _SILENCE * (round(piece_s * BYTES_PER_S) - _STAMP.size)

    def piece(self, now: float) -> bytes:
        """Return the next piece; see Voice."""
        self.sent += self._window.holds(now)
        return _STAMP.pack(_MAGIC, now) + self._rest


class StampEar:
    """Finds stamps, also where audio was cut into other pieces on the way."""

    def __init__(self, delays: Delays, window: Window) -> None:
        self._delays = delays.seconds
        self._window = window
        self._rest = b""

    def hear(self, audio: bytes, now: float) -> None:
        """Take audio; see Ear."""
        data = self._rest + audio if self._rest else audio
        at = data.find(_MAGIC)
        while 0 <= at <= len(data) - _STAMP.size:
            _, sent_at = _STAMP.unpack_from(data, at)
            if self._window.holds(sent_at):
                self._delays.append(now - sent_at)
            at = data.find(_MAGIC, at + _STAMP.size)
        if at >= 0:
            self._rest = data[at:]
        else:
            self._rest = b"" if data.endswith(_SILENCE) else data[1 - len(_MAGIC) :]


class PulseVoice:
    """Silence, with a pulse each second while the window is open."""

    def __init__(self, piece_s: float, window: Window, *, rate: int = 1) -> None:
        """Be silent.

        Args:
            piece_s: Length of a piece (s).
            window: When there are pulses.
            rate: 1: mu-law at 8 kHz; 3: 16 bit at 24 kHz.
        """
        self.sent: list[float] = []
        self._window = window
        size, pulse = round(piece_s * BYTES_PER_S), round(_PULSE_S * BYTES_PER_S)
        high, low, quiet = _levels(rate)
        wave = high * (_HALF_WAVE_BYTES * rate) + low * (_HALF_WAVE_BYTES * rate)
        self._loud = wave * (pulse // (2 * _HALF_WAVE_BYTES)) + quiet * (
            (size - pulse) * rate
        )
        self._quiet = quiet * (size * rate)
        self._next_at = 0.0

    def piece(self, now: float) -> bytes:
        """Return the next piece; see Voice."""
        if not self._window.holds(now) or now < self._next_at:
            return self._quiet
        self._next_at = now + _PULSE_EVERY_S - _PULSE_S / 2
        self.sent.append(now)
        return self._loud


def _levels(rate: int) -> tuple[bytes, bytes, bytes]:
    """Return one sample each: high, low and silent."""
    if rate == 1:
        return b"\x90", b"\x10", _SILENCE
    return struct.pack("<h", 16000), struct.pack("<h", -16000), bytes(2)


class PulseEar:
    """Notes when pulses arrive."""

    def __init__(self, is_loud: Callable[[bytes], bool], window: Window) -> None:
        self.heard: list[float] = []
        self._is_loud = is_loud
        self._window = window
        self._last_at = 0.0

    def hear(self, audio: bytes, now: float) -> None:
        """Take audio; see Ear."""
        if now < self._window.from_s or now - self._last_at < _REFRACTORY_S:
            return
        if self._is_loud(audio):
            self._last_at = now
            self.heard.append(now)


def loud_mulaw(audio: bytes) -> bool:
    """Tell whether mu-law holds a pulse."""
    return bool(audio.translate(None, _QUIET_MULAW))


def loud_pcm(audio: bytes) -> bool:
    """Tell whether 16-bit samples hold a pulse."""
    samples = array("h", audio[: len(audio) // 2 * 2])
    return max(samples[::4], default=0) > _LOUD_PCM


def match_pulses(
    sent: list[list[float]], heard: list[list[float]]
) -> tuple[int, list[float]]:
    """Return how many pulses were sent, and the delays (ms) of those that arrived.

    Args:
        sent: For each call, when.
        heard: For each call, in the same order, when.
    """
    delays: list[float] = []
    for went, came in zip(sent, heard, strict=False):
        pairs = zip(went, came, strict=False)
        delays += [round((there - here) * 1000, 3) for here, there in pairs]
    return sum(map(len, sent)), delays


def pulses_of(one: Voice | Ear) -> list[float]:
    """Return when a voice sent pulses, or an ear heard them."""
    if isinstance(one, PulseVoice):
        return one.sent
    return one.heard if isinstance(one, PulseEar) else []
