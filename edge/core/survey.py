"""What agents say of a call whose edge is gone, and how long to listen to them."""

import math
from collections.abc import Iterable
from typing import Final, Generic, TypeVar

from backhaul.core.finding import KeptCall

__all__ = ["LAST_ANSWERS_S", "RESCUE_LEAP", "Survey"]

RESCUE_LEAP: Final = 100
"""The edge that is gone may have asked for later epochs, of agents that are gone, too:
each time a call is placed it takes one."""

LAST_ANSWERS_S: Final = 0.25
"""After an agent has the call, another one may still say that it has it since (s)."""

_AgentT = TypeVar("_AgentT")


class Survey(Generic[_AgentT]):
    """The answers of the agents that were asked.

    Attributes:
        silent: Those that have not answered.
    """

    def __init__(
        self, asked: Iterable[_AgentT], *, now: float, patience_s: float
    ) -> None:
        """Begin to listen.

        Args:
            asked: Agents.
            now: Monotonic seconds.
            patience_s: How long to listen at most (s).
        """
        self.silent = set(asked)
        self._known: list[tuple[_AgentT, KeptCall]] = []
        self._until = now + patience_s

    def answer(self, agent: _AgentT, kept: KeptCall | None, *, now: float) -> None:
        """Take note of what an agent knows; None: nothing."""
        if agent not in self.silent:
            return
        self.silent.discard(agent)
        if kept is None:
            return
        self._known.append((agent, kept))
        if kept.here:
            # It may have been left: one that stood still does not know what came since.
            self._until = min(self._until, now + LAST_ANSWERS_S)

    def take_along(self, earlier: "Survey[_AgentT]") -> None:
        """Keep the copies that an *earlier* survey found: they may not be had again."""
        self._known += [known for known in earlier.best_first() if not known[1].here]

    @property
    def over_at(self) -> float:
        """When to go on with what is known; -inf: nothing more can come."""
        return self._until if self.silent else -math.inf

    def next_epoch(self) -> int:
        """Return the epoch of whoever takes the call now."""
        return max((kept.epoch for _, kept in self._known), default=0) + RESCUE_LEAP

    def best_first(self) -> list[tuple[_AgentT, KeptCall]]:
        """Return who knows of the call: who has it since, first; sessions, not copies.

        A session that the call has left for another is worth less than a copy of that.
        """
        return sorted(self._known, key=lambda one: _worth(one[1]), reverse=True)


def _worth(kept: KeptCall) -> tuple[int, bool, int]:
    version = -1 if kept.checkpoint is None else kept.checkpoint.version
    return kept.epoch, kept.here, version
