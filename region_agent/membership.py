"""Tells every edge, at a fixed rate, which agents the region has."""

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from backhaul.core.messages import Member, Members
from backhaul.errors import StoreError
from backhaul.metric_families import counter
from backhaul.store import AgentRecord, Store
from backhaul.tasks import TaskOwner
from region_agent.core.members import fitting

__all__ = ["Membership", "MembershipCollector", "MembershipCounters"]

_log = structlog.get_logger()


@dataclass(slots=True)
class MembershipCounters:
    """What has happened since the agent began."""

    pushed: int = 0
    withheld: int = 0
    """Rounds in which the store did not answer: edges keep what they know."""
    left_out: int = 0
    """Agents that a snapshot had no room for, summed over all snapshots."""


class Membership:
    """Reads the region's registry and pushes it whole, whether it changed or not.

    The work is the same on a quiet day as in a storm. While the store is away nothing
    is pushed; no call waits for any of this.
    """

    def __init__(
        self,
        *,
        region: str,
        store: Callable[[], Store | None],
        push: Callable[[Members], None],
        interval_s: float,
        rng: random.Random,
    ) -> None:
        """Know whom to ask and whom to tell.

        Args:
            region: Whose registry is read.
            store: Returns the region's store; None while it is not open.
            push: Sends a message to every edge, once.
            interval_s: From one snapshot to the next (s).
            rng: Spreads the agents of a region over the interval.
        """
        self.counters = MembershipCounters()
        self.size = 0
        """Agents in the last snapshot."""
        self.store = store
        self._region = region
        self._push = push
        self._interval_s = interval_s
        self._rng = rng
        self._reason = ""
        self._left_out = 0
        self._tasks = TaskOwner()

    def start(self) -> None:
        """Begin to read and push."""
        self._tasks.spawn(self._keep(), name="membership")

    async def aclose(self) -> None:
        """Push no more."""
        await self._tasks.aclose()

    async def _keep(self) -> None:
        await asyncio.sleep(self._rng.uniform(0.0, self._interval_s))
        while True:
            store = self.store()
            if store is not None:
                await self._push_once(store)
            await asyncio.sleep(self._interval_s)

    async def _push_once(self, store: Store) -> None:
        try:
            records = await store.agents(self._region)
        except StoreError as exc:
            self.counters.withheld += 1
            self._note(exc.reason)
            return
        self._note("")
        members = fitting(map(_member, records))
        self._note_size(members, left_out=len(records) - len(members))
        self._push(Members(members))
        self.counters.pushed += 1

    def _note(self, reason: str) -> None:
        if bool(reason) != bool(self._reason):
            _log.info("membership.changed", pushing=not reason, reason=reason)
        self._reason = reason

    def _note_size(self, members: Sequence[Member], *, left_out: int) -> None:
        if left_out and not self._left_out:
            _log.warning("membership.cut", agents=len(members), left_out=left_out)
        self.size = len(members)
        self._left_out = left_out
        self.counters.left_out += left_out


def _member(record: AgentRecord) -> Member:
    return Member(
        address=record.address if record.advertised else "",
        agent_id=record.agent_id,
        warm=record.warm,
        active_calls=record.active_calls,
        draining=record.draining,
    )


class MembershipCollector(Collector):
    """Prometheus metrics of the membership."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership

    def collect(self) -> Iterator[Metric]:
        """Return the present state as metric families."""
        seen, store = self._membership.counters, self._membership.store()
        yield GaugeMetricFamily(
            "members", "Agents of the region, as last told.", self._membership.size
        )
        yield counter(
            "members_snapshots",
            "Snapshots of the region for the edges, by what became of them.",
            ("outcome",),
            ((("pushed",), seen.pushed), (("withheld",), seen.withheld)),
        )
        yield counter(
            "members_skipped",
            "Agents that were not in a snapshot, once for each time.",
            ("reason",),
            (
                (("no_room",), seen.left_out),
                (("invalid",), store.invalid_records if store else 0),
            ),
        )
