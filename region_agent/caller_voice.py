"""Tells how much of a caller's audio is voice, whatever the session makes of it."""

from typing import Protocol, cast

import webrtcvad

from backhaul.core.g711 import MULAW_RATE_HZ, decode

__all__ = ["CallerVoice"]

_FRAME_BYTES = 160
_FRAME_MS = 20.0
_AGGRESSIVENESS = 2
"""0-3; higher takes less for voice. Noise on a telephone line is not voice at 2."""


class _Classifier(Protocol):
    def is_speech(self, buf: bytes, sample_rate: int) -> bool: ...


class CallerVoice:
    """Measures one caller; audio comes in pieces of any length."""

    def __init__(self) -> None:
        self._classifier = cast("_Classifier", webrtcvad.Vad(_AGGRESSIVENESS))
        self._rest = b""

    def voiced_ms(self, audio: bytes) -> float:
        """Return how much (ms) of mu-law *audio* and what was left over is voice."""
        audio = self._rest + audio
        whole = len(audio) - len(audio) % _FRAME_BYTES
        self._rest = audio[whole:]
        frames = (audio[at : at + _FRAME_BYTES] for at in range(0, whole, _FRAME_BYTES))
        voiced = sum(
            self._classifier.is_speech(decode(frame), MULAW_RATE_HZ) for frame in frames
        )
        return voiced * _FRAME_MS
