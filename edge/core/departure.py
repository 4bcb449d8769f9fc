"""Which calls leave an edge that is about to stop, and when."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ["Departure", "Standing"]

_CALLS_PER_S: Final = 20.0
"""How many leave at the same time at most, while there is time: each costs the other
edge a search and a handshake."""
_MOST_AT_ONCE: Final = 4.0


@dataclass(frozen=True, slots=True)
class Standing:
    """A call that can leave."""

    call_sid: str
    quiet: bool
    """Whether nobody speaks."""


class Departure:
    """Lets calls leave in a quiet moment, and in any at the end."""

    def __init__(self, *, begin_at: float, all_by: float) -> None:
        """Plan it; times are monotonic (s).

        Args:
            begin_at: Until then calls may end by themselves.
            all_by: From then on nobody waits for a quiet moment.
        """
        self._begin_at = begin_at
        self._all_by = all_by
        self._room = _MOST_AT_ONCE
        self._asked_at = begin_at

    def due(self, calls: Iterable[Standing], *, now: float) -> tuple[str, ...]:
        """Return the CallSids of those of *calls* that leave now."""
        if now < self._begin_at:
            return ()
        if now >= self._all_by:
            return tuple(call.call_sid for call in calls)
        earned = (now - self._asked_at) * _CALLS_PER_S
        self._room, self._asked_at = min(self._room + earned, _MOST_AT_ONCE), now
        due = [call.call_sid for call in calls if call.quiet][: int(self._room)]
        self._room -= len(due)
        return tuple(due)
