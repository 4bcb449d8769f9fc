"""Where in the caller's audio a turn ends: sessions count anew, the call does not."""

from typing import Final

from backhaul.core.g711 import MULAW_RATE_HZ

__all__ = ["CallerPosition"]

_BYTES_PER_MS = MULAW_RATE_HZ // 1000
_SURE_S: Final = 3.0
"""A session that has not said by then that a turn began heard nothing (s)."""
_LOOK_EVERY_BYTES: Final = 3 * MULAW_RATE_HZ + MULAW_RATE_HZ // 5
"""Audio between two looks for silence: a little more than _SURE_S."""


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
        self._in_doubt = False
        """Whether something was said, or not heard, that no turn covers yet."""
        self._mark: tuple[float, int] | None = None
        """Where the caller was at a time (s) without any such doubt."""
        self._look_at = 0

    def received(self, size: int, *, missing_frames: int, appended: bool) -> bool:
        """Take note of the next frame; tell whether to ask for `silent_until`.

        Args:
            size: Its length (bytes).
            missing_frames: How many have gone astray by now; all are alike.
            appended: Whether the session got it.
        """
        self._received += size
        self._missing = missing_frames * size
        if appended:
            self._appended += size
        else:
            self._in_doubt = True
        return self._received >= self._look_at

    def turn_began(self) -> None:
        """The caller began to speak."""
        self._in_doubt = True

    def turn_committed(self) -> None:
        """What the caller said is a turn, and known as such."""
        self._in_doubt = False

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

    def silent_until(self, *, now: float, heard_at: float) -> int:
        """Return up to where nothing was said but in turns; 0 when it is in doubt.

        It is the position at an earlier call.

        Args:
            now: The time (monotonic s).
            heard_at: When the session said anything last: one that says nothing may
                have heard nothing.
        """
        self._look_at = self._received + _LOOK_EVERY_BYTES
        if self._in_doubt:
            return 0
        at, position = self._mark or (now, 0)
        if self._mark is None or heard_at - at >= _SURE_S:
            self._mark = now, self.now
            return position
        return 0

    @property
    def now(self) -> int:
        """Where the caller's audio has come to."""
        return self._begin + self._received + self._missing

    def renew(self) -> None:
        """What comes now is on another channel, which counts anew what is missing."""
        self._received += self._missing
        self._missing = 0
