"""One link in a pool, and how it behaves."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from backhaul.core.link import LinkState
from backhaul.links import Link
from edge.core.link_load import PathQuality, ShortestLately, is_stalled

__all__ = ["PooledLink", "telling"]

_YOUNG_S: Final = 2.0


def telling(links: Sequence["PooledLink"]) -> Sequence["PooledLink"]:
    """Return those of *links* that tell most of the path: where calls are.

    What an idle link says, is said again until it arrives: it knows of no loss.
    """
    grown = [pooled for pooled in links if pooled.has_carried]
    busy = [pooled for pooled in grown if pooled.link.channel_count]
    return busy or grown or links


@dataclass(slots=True, eq=False)
class PooledLink:
    """One link and what its pool knows of it."""

    number: int
    link: Link
    dialled_at: float
    """When its dial began (monotonic s)."""
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """It became ready, or never will."""
    ready_at: float | None = None
    """When it became ready (monotonic s)."""
    max_uses: int = 0
    stalled: bool = False
    quality: PathQuality = field(default_factory=PathQuality)
    """How it behaved lately, in the worse direction, when it was last looked at."""
    has_carried: bool = False
    """Whether it is old enough to say what gets lost."""
    _shortest: ShortestLately = field(default_factory=ShortestLately)

    @property
    def usable(self) -> bool:
        """Whether it is ready and its peer answers."""
        return self.link.state is LinkState.READY and not self.stalled

    def look(self, now: float, *, interval_s: float) -> bool:
        """Take note of how it behaves; return whether it stalled or came back.

        Args:
            now: Monotonic time (s).
            interval_s: Between two of its heartbeats (s).
        """
        if self.ready_at is None:
            return False
        rtt_s = self.link.smoothed_rtt_s
        was_stalled = self.stalled
        self.stalled = is_stalled(
            self.link.unanswered_s(now),
            rtt_s=self._guessed_rtt_s(self.ready_at) if rtt_s is None else rtt_s,
            interval_s=interval_s,
        )
        self.has_carried = now - self.ready_at >= _YOUNG_S
        if rtt_s is not None:
            self._judge(self._shortest.note(rtt_s, now=now))
        return self.stalled is not was_stalled

    def _guessed_rtt_s(self, ready_at: float) -> float:
        """Only its dial was answered yet, and that took two round trips or more."""
        return (ready_at - self.dialled_at) / 2

    def _judge(self, rtt_s: float) -> None:
        measured = self.link.quality
        both = [one for one in (measured.sent, measured.received) if one is not None]
        loss = max((one.loss for one in both), default=0.0)
        self.quality = PathQuality(
            loss=loss if self.has_carried else 0.0,
            late_p99_s=max((one.late_p99_s for one in both), default=0.0),
            rtt_s=rtt_s,
        )
