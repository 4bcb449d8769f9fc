"""How many links may be dialled at once, over all agents, and for how long each."""

from collections import deque
from typing import Final

__all__ = ["DialBudget", "patience_s"]

_LEAST_PATIENCE_S: Final = 0.4
_PATIENCE_S: Final = 1.0
"""With a peer that was never reached."""
_PATIENCE_FACTOR: Final = 1.5
_SHARE_OF_RETRIES = 0.75
"""What failed before may not take all: it may hang until it times out."""


class DialBudget:
    """Grants at most *limit* dials at once, first come, first served.

    Dials to who could not be reached the last time leave a share to the others, so
    that a region which is gone keeps nobody else from being dialled.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._retry_limit = max(int(limit * _SHARE_OF_RETRIES), 1)
        self._granted: dict[int, bool] = {}
        """Whether it is a retry, by dial."""
        self._waiting: tuple[deque[int], deque[int]] = (deque(), deque())
        """First tries, and retries."""

    @property
    def under_way(self) -> int:
        """Dials that were granted and have not ended."""
        return len(self._granted)

    @property
    def waiting(self) -> int:
        """Dials that were asked for and not granted yet."""
        return sum(len(queue) for queue in self._waiting)

    def ask(self, dial: int, *, retry: bool) -> tuple[int, ...]:
        """Ask for *dial*; return the dials that may begin now.

        Args:
            dial: A number that is not in use.
            retry: Whether the last try at the same peer failed.
        """
        self._waiting[retry].append(dial)
        return self._grant()

    def end(self, dial: int) -> tuple[int, ...]:
        """Note that *dial* ended or is not wanted; return those that may begin now."""
        if self._granted.pop(dial, None) is None:
            for queue in self._waiting:
                if dial in queue:
                    queue.remove(dial)
        return self._grant()

    def _grant(self) -> tuple[int, ...]:
        granted: list[int] = []
        for retry in (False, True):
            while self._waiting[retry] and self._has_room(retry=retry):
                dial = self._waiting[retry].popleft()
                self._granted[dial] = retry
                granted.append(dial)
        return tuple(granted)

    def _has_room(self, *, retry: bool) -> bool:
        if len(self._granted) >= self._limit:
            return False
        return not retry or sum(self._granted.values()) < self._retry_limit


def patience_s(needs_s: float | None, *, longest_s: float) -> float:
    """Return how long a dial may keep the next one to the same peer waiting (s).

    Args:
        needs_s: What a dial takes (s); None: not known.
        longest_s: After which it is given up in any case (s).
    """
    if needs_s is None:
        return min(_PATIENCE_S, longest_s)
    return min(max(_PATIENCE_FACTOR * needs_s, _LEAST_PATIENCE_S), longest_s)
