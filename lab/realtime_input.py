"""What a Realtime session has heard and not yet made an item of."""

from collections.abc import Iterable

from lab.realtime_config import BYTES_PER_MS, SessionConfig
from lab.realtime_events import RefusedEventError
from lab.speech_files import SpeechLine
from lab.vad import TurnDetector, VadConfig, VadEvent

__all__ = ["MAX_APPEND_BYTES", "InputBuffer", "transcribe"]

MAX_APPEND_BYTES = 15 * 1024 * 1024
"""Most audio in one append event. Source: the documentation of the append event."""

_MIN_COMMIT_MS = 100
_ONSET_MS = 400
"""Audio kept beyond the prefix padding, so that a turn found late has its beginning."""


class InputBuffer:
    """The input audio buffer; positions count all audio appended in the session."""

    def __init__(self, config: SessionConfig) -> None:
        self._config = config
        self._audio = bytearray()
        self._audio_from = 0
        self._end = 0
        self._vad: VadConfig | None = None
        self._detector: TurnDetector | None = None

    @property
    def heard_anything(self) -> bool:
        """Whether any audio was ever appended."""
        return self._end > 0

    @property
    def position_ms(self) -> int:
        """How much audio was appended in this session, in milliseconds."""
        return self._end // self._bytes_per_ms

    @property
    def speaking(self) -> bool:
        """Whether a turn has begun and not ended."""
        return self._detector is not None and self._detector.speaking

    @property
    def _bytes_per_ms(self) -> int:
        return BYTES_PER_MS[self._config.input_format]

    def reconfigure(self) -> None:
        """Follow a changed turn detection; a turn under way goes on if it can."""
        vad = self._config.vad()
        if vad == self._vad:
            return
        self._vad = vad
        self._detector = (
            None if vad is None else TurnDetector(vad, position_ms=self.position_ms)
        )

    def append(self, audio: bytes) -> list[VadEvent]:
        """Take *audio* and return the turns it began or ended.

        Raises:
            RefusedEventError: If turns are to be detected in a format this stand-in
                cannot listen to, or there is too much audio.
        """
        if len(audio) > MAX_APPEND_BYTES:
            raise RefusedEventError(
                "invalid_value", "Audio exceeds 15 MiB.", param="audio"
            )
        if self._detector is None and self._config.turn_detection is not None:
            self.reconfigure()
        if self._detector is not None and self._config.input_format != "audio/pcmu":
            raise RefusedEventError(
                "unsupported_by_stand_in",
                "This stand-in detects turns in audio/pcmu only: set that format, or "
                "turn_detection to null.",
                param="audio",
            )
        self._audio += audio
        self._end += len(audio)
        if self._detector is None:
            return []
        events = self._detector.feed(audio)
        if not events and not self._detector.speaking:
            self._keep_onset()
        return events

    def commit_turn(self, start_ms: int, end_ms: int) -> bytes:
        """Return the audio of a detected turn and forget all up to its end."""
        start = start_ms * self._bytes_per_ms - self._audio_from
        end = end_ms * self._bytes_per_ms - self._audio_from
        turn = bytes(self._audio[max(start, 0) : end])
        self._forget(end)
        return turn

    def commit_all(self) -> bytes:
        """Return all audio since the last commit.

        Raises:
            RefusedEventError: If that is less than the API takes.
        """
        held_ms = len(self._audio) / self._bytes_per_ms
        if held_ms < _MIN_COMMIT_MS:
            raise RefusedEventError(
                "input_audio_buffer_commit_empty",
                "Error committing input audio buffer: buffer too small. Expected at "
                f"least {_MIN_COMMIT_MS}ms of audio, but buffer only has "
                f"{held_ms:.2f}ms of audio.",
            )
        turn = bytes(self._audio)
        self.clear()
        return turn

    def clear(self) -> None:
        """Forget all audio since the last commit."""
        self._forget(len(self._audio))
        if self._detector is not None:
            self._detector.reset()

    def _keep_onset(self) -> None:
        keep_ms = (self._vad.prefix_padding_ms if self._vad else 0) + _ONSET_MS
        self._forget(len(self._audio) - keep_ms * self._bytes_per_ms)

    def _forget(self, count: int) -> None:
        if count > 0:
            del self._audio[:count]
            self._audio_from += count


def transcribe(turn: bytes, lines: Iterable[SpeechLine]) -> str:
    """Return what is said in *turn*: the known lines found in it, byte for byte."""
    found: list[tuple[int, str]] = []
    for line in lines:
        # One probe might be of a pause, which is found everywhere.
        starts = (len(line.audio) * n // 4 for n in (1, 2, 3))
        positions = [turn.find(line.audio[start : start + 800]) for start in starts]
        if min(positions) >= 0:
            found.append((positions[0], line.text))
    return " ".join(text for _, text in sorted(found)) or "(inaudible)"
