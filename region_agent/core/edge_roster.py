"""Which edges are there and take calls of others, as far as one agent can tell."""

from dataclasses import dataclass
from typing import Final

__all__ = ["EdgeRoster"]

_HEARD_FOR_S: Final = 1.5
"""For so long the word of an edge holds (s); edges are silent for a third of it."""
_MAX_EDGES: Final = 256
"""Edges that one answer can name; it must fit into a frame."""


@dataclass(frozen=True, slots=True)
class _Heard:
    at: float
    rtt_s: float


class EdgeRoster:
    """Believes edges that say they are there, for a while."""

    def __init__(self) -> None:
        self._heard: dict[str, _Heard] = {}

    def hear(
        self, name: str, *, accepting: bool, rtt_s: float, now: float
    ) -> dict[str, float]:
        """Take an edge's word; return all edges that may be given calls.

        Args:
            name: The edge's.
            accepting: Whether it takes calls of others.
            rtt_s: Round trip to it (s).
            now: The time (s).

        Returns:
            The round trip (s) to each of them, by name.
        """
        self._heard = {
            other: heard
            for other, heard in self._heard.items()
            if now - heard.at < _HEARD_FOR_S
        }
        if not accepting:
            self.lose(name)
        elif name in self._heard or len(self._heard) < _MAX_EDGES:
            self._heard[name] = _Heard(now, rtt_s)
        return {other: heard.rtt_s for other, heard in self._heard.items()}

    def lose(self, name: str) -> None:
        """Forget an edge whose last link is gone."""
        self._heard.pop(name, None)
