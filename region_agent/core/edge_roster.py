"""Which edges are there and take calls of others, as far as one agent can tell."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from backhaul.core.messages import Presence, PresentEdges

__all__ = ["EdgeRoster"]

_HEARD_FOR_S: Final = 1.5
"""For so long the word of an edge holds (s); edges are silent for a third of it."""
_MAX_EDGES: Final = 256
"""Edges that one answer can name; it must fit into a frame."""


@dataclass(frozen=True, slots=True)
class _Heard:
    at: float
    rtt_s: float
    room: int | None


class EdgeRoster:
    """Believes edges that say they are there, for a while.

    An edge may be several processes, which have one name and talk for themselves.
    """

    def __init__(self) -> None:
        self._heard: dict[str, dict[str, _Heard]] = {}
        """By edge and process."""

    def hear(
        self,
        name: str,
        presence: Presence,
        *,
        instance: str,
        rtt_s: float | None,
        now: float,
    ) -> PresentEdges:
        """Take an edge's word; return all edges that may be given calls.

        Args:
            name: The edge's.
            presence: What it says.
            instance: Of the process that says it.
            rtt_s: Round trip to it (s); None, not known yet: nobody can judge it.
            now: The time (s).
        """
        self._forget_silent(now=now)
        if rtt_s is None or not presence.accepting:
            self.lose(name, instance)
        elif name in self._heard or len(self._heard) < _MAX_EDGES:
            processes = self._heard.setdefault(name, {})
            processes[instance] = _Heard(now, rtt_s, presence.room)
        rooms = {
            other: _room(processes.values()) for other, processes in self._heard.items()
        }
        return PresentEdges(
            {
                other: min(heard.rtt_s for heard in processes.values())
                for other, processes in self._heard.items()
            },
            {other: room for other, room in rooms.items() if room is not None},
        )

    def lose(self, name: str, instance: str) -> None:
        """Forget a process of an edge whose last link is gone."""
        processes = self._heard.get(name, {})
        processes.pop(instance, None)
        if not processes:
            self._heard.pop(name, None)

    def _forget_silent(self, *, now: float) -> None:
        silent = [
            (name, instance)
            for name, processes in self._heard.items()
            for instance, heard in processes.items()
            if now - heard.at >= _HEARD_FOR_S
        ]
        for name, instance in silent:
            self.lose(name, instance)


def _room(processes: Iterable[_Heard]) -> int | None:
    """Return what all processes of an edge take together; None if one does not say."""
    total = 0
    for heard in processes:
        if heard.room is None:
            return None
        total += heard.room
    return total
