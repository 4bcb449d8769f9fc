"""How long a caller waits for the model, and when another session may do better.

A session may answer whatever it is asked, and yet bring none of the responses that it
owes. Only the caller notices: who asks "Hello?" meanwhile has waited all the same.
"""

from typing import Final

__all__ = ["PATIENCE_S", "Patience"]

PATIENCE_S: Final = 10.0
"""So long does a caller wait for the model (s), all in all, before the call is to leave
its session: longer than models take, shorter than callers wait for nothing."""
_BRIEF_S: Final = 2.0
"""A pause of the caller in which a model may well not have begun yet (s) is no waiting:
who speaks haltingly makes many."""
_NEXT_FACTOR: Final = 3.0
"""The next session is given so much longer, and so is one that no other could follow:
when all are slow, a call that left each of them would never hear anything."""
_SLOW_FACTOR: Final = 2.0
"""A session that took long, and then did what it was asked, may take so much longer."""


class Patience:
    """The waiting of one caller in one session; a part of the conversation."""

    def __init__(self) -> None:
        self._limit_s = PATIENCE_S
        self._longest_s = 0.0
        """What was waited for the slowest answer so far."""
        self._waited_s = 0.0
        self._since: float | None = None

    def resume(self) -> None:
        """The caller has waited in another session, it may be in vain."""
        self._limit_s = _NEXT_FACTOR * PATIENCE_S

    def answered(self, *, now: float) -> None:
        """The model has done what it was asked, whether or not that can be heard."""
        self._longest_s = max(self._longest_s, self._until(now))
        self._limit_s = max(PATIENCE_S, _SLOW_FACTOR * self._longest_s)
        self._waited_s = 0.0
        if self._since is not None:
            self._since = now

    def observe(self, *, waiting: bool, spoken: bool, now: float) -> bool:
        """Tell whether the caller has waited too long; call it after every event.

        Args:
            waiting: Whether the caller is quiet, the model owes them something, and
                nothing is heard.
            spoken: Whether the model has spoken since it was asked last.
            now: Monotonic seconds.
        """
        if spoken:
            self.answered(now=now)
        if self._since is not None and not waiting:
            if now - self._since >= _BRIEF_S:
                self._waited_s = self._until(now)
            self._since = None
        elif self._since is None and waiting:
            self._since = now
        deadline = self.next_deadline()
        if deadline is None or now < deadline:
            return False
        self._limit_s = _NEXT_FACTOR * self._until(now)
        return True

    def next_deadline(self) -> float | None:
        """Return when it wants to be asked again, whatever happens until then."""
        if self._since is None:
            return None
        return self._since + max(self._limit_s - self._waited_s, _BRIEF_S)

    def _until(self, now: float) -> float:
        """Return how long the caller has waited by *now* (s)."""
        since = now if self._since is None else self._since
        return self._waited_s + now - since
