"""Decides, from mu-law audio, when a caller starts and stops speaking (sans-I/O)."""

from collections import deque
from dataclasses import dataclass
from math import log10
from typing import Literal, Protocol, cast

import webrtcvad

from backhaul.core.g711 import decode, energy

__all__ = ["SpeechStarted", "SpeechStopped", "TurnDetector", "VadConfig", "VadEvent"]

_RATE_HZ = 8000
_FRAME_BYTES = 160
_FRAME_MS = 20
_BYTES_PER_MS = 8

_START_WINDOW = 8
_START_FRAMES = 6
"""Speech begins when so many frames of the window are voiced: a click never is."""

_STEADY_WINDOW = 15
_STEADY_RANGE_DB = 2.5
"""Speech changes its level all the time; a tone or a hiss stays within this range."""

_FLOOR_ENERGY = 32124.0**2 * 10 ** (-50 / 10)
"""Nothing quieter than -50 dBFS is taken for a caller."""

Eagerness = Literal["low", "medium", "high", "auto"]
_SEMANTIC_SILENCE_MS: dict[Eagerness, int] = {
    "low": 1000,
    "medium": 600,
    "auto": 600,
    "high": 300,
}


class _Classifier(Protocol):
    def is_speech(self, buf: bytes, sample_rate: int) -> bool: ...


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """A caller began to speak; *audio_start_ms* includes the prefix padding."""

    audio_start_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """A caller stopped; *audio_end_ms* includes the silence waited for."""

    audio_end_ms: int


VadEvent = SpeechStarted | SpeechStopped


@dataclass(frozen=True, slots=True)
class VadConfig:
    """How to detect turns; the fields are those of Realtime's ``server_vad``.

    Attributes:
        threshold: 0 takes almost anything for speech, 1 almost nothing.
        prefix_padding_ms: Audio before the speech that counts as part of the turn.
        silence_duration_ms: Silence that ends a turn.
    """

    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500

    @classmethod
    def semantic(cls, eagerness: Eagerness) -> "VadConfig":
        """Return the plain silence that comes nearest to ``semantic_vad``."""
        return cls(silence_duration_ms=_SEMANTIC_SILENCE_MS[eagerness])

    @property
    def aggressiveness(self) -> int:
        """How strict the frame classifier is told to be, 0 to 3."""
        return min(3, int(self.threshold * 4))


class TurnDetector:
    """Finds turns in audio fed in pieces of any size.

    Times are milliseconds of audio fed so far, *position_ms* when it begins.
    """

    def __init__(self, config: VadConfig, *, position_ms: int = 0) -> None:
        self._config = config
        self._classifier = cast("_Classifier", webrtcvad.Vad(config.aggressiveness))
        self._rest = b""
        self._position_ms = position_ms
        self._floor_ms = position_ms
        self._levels_db: deque[float] = deque(maxlen=_STEADY_WINDOW)
        self._voiced: deque[bool] = deque(maxlen=_START_WINDOW)
        self._silence_ms = 0
        self.speaking = False

    def feed(self, audio: bytes) -> list[VadEvent]:
        """Take note of mu-law *audio* and return what it began or ended."""
        audio = self._rest + audio
        whole = len(audio) - len(audio) % _FRAME_BYTES
        self._rest = audio[whole:]
        events: list[VadEvent] = []
        for offset in range(0, whole, _FRAME_BYTES):
            event = self._on_frame(audio[offset : offset + _FRAME_BYTES])
            if event is not None:
                events.append(event)
        return events

    def reset(self) -> None:
        """Forget a turn that has begun; the next starts no earlier than here."""
        self._voiced.clear()
        self._silence_ms = 0
        self._floor_ms = self._position_ms + len(self._rest) // _BYTES_PER_MS
        self.speaking = False

    def _on_frame(self, frame: bytes) -> VadEvent | None:
        self._position_ms += _FRAME_MS
        speech = self._is_speech(frame)
        if self.speaking:
            return self._maybe_stop(speech=speech)
        return self._maybe_start(speech=speech)

    def _is_speech(self, frame: bytes) -> bool:
        level = energy(frame)
        self._levels_db.append(10 * log10(level + 1))
        # The classifier adapts to what it hears: it must see every frame.
        voiced = self._classifier.is_speech(decode(frame), _RATE_HZ)
        return voiced and level > _FLOOR_ENERGY and not self._is_steady()

    def _is_steady(self) -> bool:
        levels = self._levels_db
        if len(levels) < _STEADY_WINDOW:
            return False
        return max(levels) - min(levels) < _STEADY_RANGE_DB

    def _maybe_start(self, *, speech: bool) -> SpeechStarted | None:
        self._voiced.append(speech)
        if sum(self._voiced) < _START_FRAMES or self._onset_is_steady():
            return None
        frames_ago = len(self._voiced) - self._voiced.index(True)
        began_ms = self._position_ms - frames_ago * _FRAME_MS
        self.speaking = True
        self._silence_ms = 0
        self._voiced.clear()
        return SpeechStarted(
            max(began_ms - self._config.prefix_padding_ms, self._floor_ms, 0)
        )

    def _onset_is_steady(self) -> bool:
        """Return whether all after the first voiced frame sounds like a tone."""
        recent = list(self._levels_db)[1 - _START_FRAMES :]
        return max(recent) - min(recent) < _STEADY_RANGE_DB

    def _maybe_stop(self, *, speech: bool) -> SpeechStopped | None:
        self._silence_ms = 0 if speech else self._silence_ms + _FRAME_MS
        if self._silence_ms < max(self._config.silence_duration_ms, _FRAME_MS):
            return None
        self.reset()
        return SpeechStopped(self._position_ms)
