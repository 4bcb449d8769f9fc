"""How long a caller waits for the voice, and when another session may do better.

A session may answer whatever it is asked, and yet bring none of the responses that it
owes. Only the caller notices: who asks "Hello?" meanwhile has waited all the same.
"""

from typing import Final

__all__ = ["PATIENCE_S", "Patience"]

PATIENCE_S: Final = 10.0
"""So long does a caller wait for the voice (s), all in all, before the call is to leave
its session: longer than models take, shorter than callers wait for nothing."""
_NEXT: Final = 3.0
"""The next session is given so much longer, and so is one that no other could follow:
when all are slow, a call that left each of them would never hear anything."""
_SLOWER: Final = 2.0
"""A session that took long, and then spoke, may take so much longer the next time."""


class Patience:
    """The waiting of one caller in one session; a part of the conversation."""

    def __init__(self) -> None:
        self._limit_s = PATIENCE_S
        self._position = 0
        """Up to where the voice had come, when it was looked at last."""
        self._waited_s = 0.0
        self._since: float | None = None

    def resume(self, position: int) -> None:
        """Another session had the call, whose voice had come to *position*."""
        self._position = position
        self._limit_s = _NEXT * PATIENCE_S

    def answered(self, *, now: float) -> None:
        """The model does what it is asked, whether or not that can be heard."""
        self._limit_s = max(PATIENCE_S, _SLOWER * self._until(now))
        self._waited_s = 0.0
        if self._since is not None:
            self._since = now

    def observe(self, position: int, *, waiting: bool, now: float) -> bool:
        """Tell whether the caller has waited too long; call it after every event.

        Args:
            position: Up to where the voice has come.
            waiting: Whether the caller is quiet, the voice is owed, and none is heard.
            now: Monotonic seconds.
        """
        if position != self._position:
            self._position = position
            self.answered(now=now)
        if self._since is not None and not waiting:
            self._waited_s, self._since = self._until(now), None
        elif self._since is None and waiting:
            self._since = now
        deadline = self.next_deadline()
        if deadline is None or now < deadline:
            return False
        self._limit_s = _NEXT * self._until(now)
        return True

    def next_deadline(self) -> float | None:
        """Return when it wants to be asked again, whatever happens until then."""
        if self._since is None:
            return None
        return self._since + self._limit_s - self._waited_s

    def _until(self, now: float) -> float:
        """Return how long the caller has waited by *now* (s)."""
        since = now if self._since is None else self._since
        return self._waited_s + now - since
