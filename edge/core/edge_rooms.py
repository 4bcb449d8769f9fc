"""How much room other edges have, as they say and by what was given to them since."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

__all__ = ["EdgeRooms"]

_ON_THEIR_WAY_S: Final = 3.0
"""Longest that what an edge says does not contain a call that was given it (s): it
tells an agent, and the agent us, every half second, and a stream takes up to two."""


class EdgeRooms:
    """Counts calls that are on their way to other edges against their room."""

    def __init__(self) -> None:
        self._rooms: dict[str, int] = {}
        self._given: dict[str, deque[float]] = {}
        """By edge: when it was given calls that may still be on their way."""

    def gave(self, edge: str, *, now: float) -> None:
        """Take note of a new call that *edge* is to have."""
        self._given.setdefault(edge, deque()).append(now)

    def full(self, told: Iterable[Mapping[str, int]], *, now: float) -> frozenset[str]:
        """Return the edges that are full, or will be.

        Args:
            told: By edge: how many more calls it takes, as each of several heard it.
            now: The time (s).
        """
        rooms: dict[str, int] = {}
        for heard in told:
            for edge, room in heard.items():
                rooms[edge] = min(room, rooms.get(edge, room))
        for edge, given in self._given.items():
            # Where there is less room than before, some have arrived.
            before = self._rooms.get(edge, 0)
            arrived = before - rooms.get(edge, before)
            while given and (arrived > 0 or now - given[0] > _ON_THEIR_WAY_S):
                given.popleft()
                arrived -= 1
        self._rooms |= rooms
        return frozenset(
            edge
            for edge, room in rooms.items()
            if room <= len(self._given.get(edge, ()))
        )
