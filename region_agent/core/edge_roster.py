"""Which edges are there and take calls of others, as far as one agent can tell."""

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
    """Believes edges that say they are there, for a while."""

    def __init__(self) -> None:
        self._heard: dict[str, _Heard] = {}

    def hear(
        self, name: str, presence: Presence, *, rtt_s: float | None, now: float
    ) -> PresentEdges:
        """Take an edge's word; return all edges that may be given calls.

        Args:
            name: The edge's.
            presence: What it says.
            rtt_s: Round trip to it (s); None, not known yet: nobody can judge it.
            now: The time (s).
        """
        self._heard = {
            other: heard
            for other, heard in self._heard.items()
            if now - heard.at < _HEARD_FOR_S
        }
        if rtt_s is None or not presence.accepting:
            self.lose(name)
        elif name in self._heard or len(self._heard) < _MAX_EDGES:
            self._heard[name] = _Heard(now, rtt_s, presence.room)
        return PresentEdges(
            {other: heard.rtt_s for other, heard in self._heard.items()},
            {
                other: heard.room
                for other, heard in self._heard.items()
                if heard.room is not None
            },
        )

    def lose(self, name: str) -> None:
        """Forget an edge whose last link is gone."""
        self._heard.pop(name, None)
