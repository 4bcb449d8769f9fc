"""One agent as an edge sees it: its links, its stock, and the calls it has."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import structlog

from backhaul.channels import Channel, ChannelHandler
from backhaul.clock import monotonic_s
from backhaul.core.messages import (
    CloseReason,
    Greeting,
    LeaseGranted,
    LeaseRefused,
    LeaseRelease,
    LeaseRequest,
    Members,
    Message,
    Open,
    Stock,
)
from backhaul.links import Link, LinkCounters
from edge.core.link_load import LinkStanding, MoveReason, PathQuality, calls_to_move
from edge.core.router import AgentSnapshot
from edge.core.transport_choice import (
    ChoiceState,
    Measured,
    TransportChooser,
    TransportView,
)
from edge.link_pool import LinkPool, PooledLink

__all__ = ["Agent", "AgentCounters", "Fleet", "Seat"]

_log = structlog.get_logger()

LeaseAnswer = LeaseGranted | LeaseRefused


class Fleet(Protocol):
    """Whom an agent tells of itself."""

    def on_agent_reached(self, agent: "Agent") -> None:
        """Its first link is ready."""
        ...

    def on_agent_lost(self, agent: "Agent") -> None:
        """Its last link is gone."""
        ...

    def on_members(self, agent: "Agent", members: Members) -> None:
        """It says who else is in its region."""
        ...

    def on_moved(self, agent: "Agent", reason: MoveReason) -> None:
        """One of its calls uses another link now."""
        ...

    def on_acquired(self, seconds: float) -> None:
        """A call asked for a link, and had its answer after so long (s)."""
        ...


@dataclass(slots=True)
class AgentCounters:
    """What has happened on the links to one agent, or to many."""

    opened: int = 0
    """Links that became ready."""
    unavailable: int = 0
    """Calls that found no link ready at all."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A call's place on a link."""

    pool: LinkPool
    pooled: PooledLink


@dataclass(frozen=True, slots=True)
class _Asked:
    """A lease request that was not answered yet."""

    link: Link
    answer: asyncio.Future[LeaseAnswer]


class Agent:
    """One agent behind one address (`PoolOwner`).

    Attributes:
        address: host:port at which it is dialled.
        region: Where it is.
        stock: What it has, as it says.
        greetings: By profile, as it has rendered them.
        pools: Its links by transport, the preferred one first.
        chooser: Decides which transport calls use.
        counters: What has happened on its links.
        closed_links: What passed over links that are gone.
        draining: Whether it closes its links as they become free, for good.
    """

    def __init__(self, address: str, region: str, *, fleet: Fleet) -> None:
        self.address = address
        self.region = region
        self.stock = Stock(warm={}, active_calls=0)
        self.greetings: dict[str, Greeting] = {}
        self.pools: tuple[LinkPool, ...] = ()
        self.chooser = TransportChooser()
        self.counters = AgentCounters()
        self.closed_links = LinkCounters()
        self.draining = False
        self._fleet = fleet
        self._ready: dict[Link, None] = {}
        self._seats: dict[Channel, Seat] = {}
        self._asked: dict[str, _Asked] = {}
        self._closing = False

    def start(self, pools: tuple[LinkPool, ...]) -> None:
        """Begin to dial over *pools*, the preferred transport first."""
        self.pools = pools
        for pool in pools:
            pool.start()

    def drain(self) -> None:
        """Dial no more and close links that no call uses."""
        self.draining = True
        for pool in self.pools:
            pool.drain()

    async def aclose(self, reason: str) -> None:
        """Close every link; its calls hear that theirs is lost."""
        self._closing = True
        for pool in self.pools:
            await pool.aclose(reason)

    @property
    def agent_id(self) -> str:
        """What the agent calls itself; its address while it cannot be reached."""
        link = self.link
        return self.address if link is None else link.peer.name

    @property
    def ready(self) -> bool:
        """Whether a link to it is ready and answered."""
        return self.link is not None

    @property
    def call_count(self) -> int:
        """Calls that have a place on its links."""
        return len(self._seats)

    @property
    def gone(self) -> bool:
        """Whether it has drained and nothing of it is left."""
        left = any(pool.links or pool.pool.states() for pool in self.pools)
        return self.draining and not self._ready and not left

    @property
    def link(self) -> Link | None:
        """The link for what belongs to no call, None if there is none."""
        return next(self._usable_links(), None)

    def links(self) -> tuple[Link, ...]:
        """Return every link that is ready."""
        return tuple(self._ready)

    def snapshot(self, profile: str) -> AgentSnapshot:
        """Return what the router needs to know for a call of *profile*."""
        link = self.link
        return AgentSnapshot(
            agent_id=self.address,
            region=self.region,
            ready=link is not None,
            draining=self.stock.draining,
            warm=self.stock.warm.get(profile, 0),
            smoothed_rtt_s=(link.smoothed_rtt_s if link else None) or 0.0,
        )

    # Leases

    async def lease(
        self, request: LeaseRequest, *, timeout_s: float
    ) -> tuple[LeaseAnswer, str]:
        """Return the answer to *request*, and the agent's process that gave it."""
        link = self.link
        if link is None:
            return LeaseRefused(request.lease_id, CloseReason.LINK_LOST), ""
        asked = _Asked(link, asyncio.get_running_loop().create_future())
        self._asked[request.lease_id] = asked
        link.send(request)
        try:
            async with asyncio.timeout(timeout_s):
                return await asked.answer, link.peer.instance
        except TimeoutError:
            self.release_lease(request.lease_id, link.peer.instance)
            return LeaseRefused(request.lease_id, CloseReason.NO_ANSWER), ""
        except asyncio.CancelledError:
            # Whoever asked has run out of time.
            self.release_lease(request.lease_id, link.peer.instance)
            raise
        finally:
            del self._asked[request.lease_id]

    def release_lease(self, lease_id: str, instance: str) -> None:
        """Give a lease back, over any link to the process that gave it."""
        links = (one for one in self._usable_links() if one.peer.instance == instance)
        link = next(links, None)
        if link is not None:
            link.send(LeaseRelease(lease_id))

    # Calls

    def open_channel(
        self, handler: ChannelHandler, message: Open, *, instance: str
    ) -> Channel | None:
        """Start a call with the agent's process *instance*; None: no link is ready.

        It never waits and never dials. `release` must follow when the call is over.
        """
        seat = self.acquire(instance)
        if seat is None:
            self.counters.unavailable += 1
            return None
        channel = seat.pooled.link.open_channel(handler, message)
        self._seats[channel] = seat
        return channel

    def release(self, channel: Channel) -> None:
        """A call is over; does nothing twice."""
        seat = self._seats.pop(channel, None)
        if seat is not None:
            seat.pool.release(seat.pooled)

    def acquire(self, instance: str) -> Seat | None:
        """Return a place on a link to the agent's process *instance*, if any."""
        asked_at = monotonic_s()
        seat = self._seat(instance)
        self._fleet.on_acquired(monotonic_s() - asked_at)
        return seat

    def _seat(self, instance: str, *, but: Link | None = None) -> Seat | None:
        pools = self._pools_best_first()
        for may_crowd in (False, True):
            for pool in pools:
                pooled = pool.acquire(instance, but=but, may_crowd=may_crowd)
                if pooled is not None:
                    return Seat(pool, pooled)
        return None

    def _seat_of_many(
        self, channel: Channel, pools: tuple[LinkPool, ...], but: Link
    ) -> Seat | None:
        """Return a place that is free: nothing is urgent."""
        for pool in pools:
            pooled = pool.acquire(channel.peer.instance, but=but)
            if pooled is not None:
                return Seat(pool, pooled)
        return None

    def _take(self, channel: Channel, seat: Seat, reason: MoveReason) -> None:
        old = self._seats.get(channel)
        self._seats[channel] = seat
        channel.move_to(seat.pooled.link)
        if old is not None:
            old.pool.release(old.pooled)
        self._fleet.on_moved(self, reason)

    # Looking after the links

    def check(self, now: float) -> None:
        """Look at every link: which stall, which transport is best, who must move."""
        for pool in self.pools:
            pool.note_stalls(now)
        path = PathQuality(loss=max(pool.quality(now).loss for pool in self.pools))
        for pool in self.pools:
            pool.set_uses(path, now)
        views = [self._view(pool, now) for pool in self.pools]
        standby = views[1] if len(views) > 1 else TransportView()
        for changed in self.chooser.handle(Measured(views[0], standby), now=now):
            _log.info(
                "agent.transport_changed",
                address=self.address,
                region=self.region,
                old=changed.old.value,
                new=changed.new.value,
                reason=changed.reason.value,
            )
        self._move_calls()

    @property
    def chosen(self) -> LinkPool:
        """The links that calls should use."""
        on_standby = self.chooser.state is ChoiceState.ON_STANDBY
        return self.pools[1 if on_standby else 0]

    def _pools_best_first(self) -> tuple[LinkPool, ...]:
        on_standby = self.chooser.state is ChoiceState.ON_STANDBY
        return self.pools[::-1] if on_standby else self.pools

    def _usable_links(self) -> Iterator[Link]:
        for pool in self._pools_best_first():
            yield from (pooled.link for pooled in pool.usable)

    def _view(self, pool: LinkPool, now: float) -> TransportView:
        return TransportView(usable=bool(pool.usable), quality=pool.quality(now))

    def _move_calls(self) -> None:
        on_link: dict[PooledLink, list[Channel]] = {}
        for channel, seat in self._seats.items():
            on_link.setdefault(seat.pooled, []).append(channel)
        for pool in self.pools:
            draining = pool.draining()
            for pooled in list(pool.links.values()):
                channels = on_link.get(pooled, [])
                due = calls_to_move(
                    LinkStanding(
                        uses=len(channels),
                        max_uses=pooled.max_uses,
                        stalled=pooled.stalled,
                        draining=pooled.number in draining,
                        chosen=pool is self.chosen,
                    )
                )
                if due is not None:
                    reason, count = due
                    self._move(channels[:count], pool, pooled.link, reason)

    def _move(
        self, channels: list[Channel], pool: LinkPool, link: Link, reason: MoveReason
    ) -> None:
        """Move *channels* off *link*, as far as there is room for them."""
        pools = {
            MoveReason.SPREAD: (pool,),
            MoveReason.CHOICE: (self.chosen,),
        }.get(reason, self._pools_best_first())
        for channel in channels:
            if reason is MoveReason.STALL:
                seat = self._seat(channel.peer.instance, but=link)
            else:
                seat = self._seat_of_many(channel, pools, link)
            if seat is None:
                return
            self._take(channel, seat, reason)

    # PoolOwner

    def on_link_ready(self, link: Link) -> None:
        """A link can be used; see PoolOwner."""
        self.counters.opened += 1
        self._ready[link] = None
        if len(self._ready) == 1:
            self._fleet.on_agent_reached(self)

    def on_link_message(self, link: Link, message: Message) -> None:  # noqa: ARG002
        """The agent says what it has, or answers a request; see PoolOwner."""
        match message:
            case Stock():
                self.stock = message
            case Greeting(profile):
                self.greetings[profile] = message
            case LeaseGranted() | LeaseRefused():
                self._settle(message)
            case Members():
                self._fleet.on_members(self, message)
            case _:
                pass

    def on_link_lost(self, link: Link) -> None:
        """Move the calls of a link that is gone; see PoolOwner."""
        if link not in self._ready:
            return  # it was retired before it could be used
        del self._ready[link]
        self.closed_links.add(link.counters)
        for lease_id, asked in list(self._asked.items()):
            if asked.link is link:
                self._settle(LeaseRefused(lease_id, CloseReason.LINK_LOST))
        if not self._closing:
            self._rescue(link)
        if not self._ready:
            self.stock = Stock(warm={}, active_calls=0)
            self._fleet.on_agent_lost(self)

    def _rescue(self, link: Link) -> None:
        for channel in list(link.channels.values()):
            if channel in self._seats:
                seat = self._seat(channel.peer.instance, but=link)
                if seat is None:
                    channel.drop(CloseReason.LINK_LOST)
                else:
                    self._take(channel, seat, MoveReason.LOST)
            else:
                self._carry_last_words(channel)

    def _carry_last_words(self, channel: Channel) -> None:
        """A channel that was closed lately may have words on their way."""
        links = self._usable_links()
        same = (one for one in links if one.peer.instance == channel.peer.instance)
        link = next(same, None)
        if link is not None:
            channel.move_to(link)

    def _settle(self, given: LeaseAnswer) -> None:
        asked = self._asked.get(given.lease_id)
        if asked is not None and not asked.answer.done():
            asked.answer.set_result(given)
