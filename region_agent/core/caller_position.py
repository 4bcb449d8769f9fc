"""Where in the caller's audio a turn ends: sessions count anew, the call does not."""

from backhaul.core.g711 import MULAW_RATE_HZ

__all__ = ["CallerPosition"]

_BYTES_PER_MS = MULAW_RATE_HZ // 1000


class CallerPosition:
    """Counts the caller's audio, in bytes, over the whole call."""

    def __init__(self, begin: int) -> None:
        """Begin at *begin*: what comes now is what follows there."""
        self._begin = begin
        self._received = 0
        self._missing = 0
        self._appended = 0
        """Of that, what the session has got; it counts from there."""
        self._turn_end_ms: float | None = None

    def received(self, size: int, *, missing_frames: int, appended: bool) -> None:
        """Take note of the next frame.

        Args:
            size: Its length (bytes).
            missing_frames: How many have gone astray by now; all are alike.
            appended: Whether the session got it.
        """
        self._received += size
        self._missing = missing_frames * size
        self._appended += size if appended else 0

    def turn_stopped(self, audio_end_ms: float | None) -> None:
        """A turn ends at *audio_end_ms* of what the session got; None: now."""
        self._turn_end_ms = audio_end_ms

    @property
    def turn_end(self) -> int:
        """Where the turn ends that stopped last."""
        now = self.now
        if self._turn_end_ms is None:
            return now
        behind = self._appended - int(self._turn_end_ms * _BYTES_PER_MS)
        return min(max(now - behind, self._begin), now)

    @property
    def now(self) -> int:
        """Where the caller's audio has come to."""
        return self._begin + self._received + self._missing

    def renew(self) -> None:
        """What comes now is on another channel, which counts anew what is missing."""
        self._received += self._missing
        self._missing = 0
