"""How many calls a link is good for, and when calls must leave it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = [
    "LinkStanding",
    "MoveReason",
    "PathQuality",
    "ShortestLately",
    "calls_to_move",
    "good_uses",
    "is_stalled",
]

_QUIC_USES: Final = 200
_TCP_USES: Final = 100
_TCP_USES_WITH_LOSS: Final = 6
"""One lost packet holds back all calls of a connection until it was sent again."""
_TCP_LOSS: Final = 0.001
_TCP_HEAVY_LOSS: Final = 0.03
_RESENT_AFTER: Final = 0.8
"""Of a round trip: later than that was sent twice, or waited for what was."""
_LEAST_LATE_S: Final = 0.05
"""Less may be either host's own doing."""
_LEAST_STALL_S: Final = 0.5
_WINDOW_S: Final = 4.0
"""Two of them are shorter than the window in which arrivals are measured: when a longer
way counts as late no more there, it is in the round trip already."""


class MoveReason(StrEnum):
    """Why a call is moved to another link."""

    LOST = "lost"
    """Its link is gone."""
    STALL = "stall"
    """The peer answers no more on its link."""
    AGE = "age"
    """Its link was replaced."""
    CHOICE = "choice"
    """Another transport is better."""
    SPREAD = "spread"
    """Too many calls share its link."""


@dataclass(frozen=True, slots=True)
class PathQuality:
    """How a link, or what is known of the path it takes, behaves; the worse direction.

    Attributes:
        loss: Share of packets lost, 0 to 1.
        late_p99_s: Delay beyond the shortest one, 99th percentile (s).
        rtt_s: Shortest smoothed round trip of late (s).
    """

    loss: float = 0.0
    late_p99_s: float = 0.0
    rtt_s: float = 0.0

    @property
    def delay_p99_s(self) -> float:
        """What 99 of 100 batches take at most (s), one way."""
        return self.rtt_s / 2 + self.late_p99_s


@dataclass(slots=True)
class ShortestLately:
    """The shortest round trip of the last 4 to 8 s: queues come and go, routes too."""

    _began_at: float = 0.0
    _present_s: float | None = None
    _past_s: float | None = None

    def note(self, rtt_s: float, *, now: float) -> float:
        """Take note of a round trip (s) at *now*; return the shortest one."""
        if self._present_s is None or now - self._began_at >= _WINDOW_S:
            # Nothing of the window before counts if nobody has looked since.
            is_next = now - self._began_at < 2 * _WINDOW_S
            self._past_s = self._present_s if is_next else None
            self._began_at, self._present_s = now, rtt_s
        self._present_s = min(self._present_s, rtt_s)
        past_s = self._past_s
        return self._present_s if past_s is None else min(past_s, self._present_s)


@dataclass(frozen=True, slots=True)
class LinkStanding:
    """What decides on the calls of one link."""

    uses: int
    max_uses: int
    stalled: bool
    draining: bool
    chosen: bool
    """Whether its transport is the one that the agent's calls should use."""


def good_uses(quality: PathQuality, *, over_tcp: bool) -> int:
    """Return how many calls may share a link over such a path.

    TCP tells nobody what it lost, but what it sent again comes a round trip late.

    Source: bench/transports.py, calls per connection against loss.
    """
    if not over_tcp:
        return _QUIC_USES
    if quality.loss >= _TCP_HEAVY_LOSS:
        return 1
    late_s = max(_RESENT_AFTER * quality.rtt_s, _LEAST_LATE_S)
    if quality.loss >= _TCP_LOSS or quality.late_p99_s > late_s:
        return _TCP_USES_WITH_LOSS
    return _TCP_USES


def is_stalled(unanswered_s: float, *, rtt_s: float, interval_s: float) -> bool:
    """Tell whether a link's oldest heartbeat has gone unanswered for too long.

    Args:
        unanswered_s: Its age (s); 0 when all were answered.
        rtt_s: Smoothed round-trip time (s).
        interval_s: Between two heartbeats (s).
    """
    return unanswered_s > max(_LEAST_STALL_S, 3 * rtt_s + interval_s)


def calls_to_move(link: LinkStanding) -> tuple[MoveReason, int] | None:
    """Return why calls should leave a link, and how many; None: they should stay."""
    if not link.uses:
        return None
    for due, reason in (
        (link.stalled, MoveReason.STALL),
        (link.draining, MoveReason.AGE),
        (not link.chosen, MoveReason.CHOICE),
    ):
        if due:
            return reason, link.uses
    excess = link.uses - link.max_uses
    return (MoveReason.SPREAD, excess) if excess > 0 else None
