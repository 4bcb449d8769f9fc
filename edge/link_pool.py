"""Warm links to one agent address over one transport: does what their pool decides."""

import asyncio
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from backhaul.channels import Channel, ChannelHandler
from backhaul.clock import monotonic_s
from backhaul.core.link import LinkState
from backhaul.core.messages import Message, Open
from backhaul.core.warm_pool import WarmPool
from backhaul.core.warm_pool_events import (
    CloseConnection,
    ConnectionLost,
    ConnectionOpened,
    ConnectionReleased,
    ConnectionRequested,
    ConnectionState,
    Drained,
    LendConnection,
    OpenConnection,
    OpenFailed,
    RefuseRequest,
    UsesChanged,
    WarmPoolAction,
    WarmPoolConfig,
    WarmPoolEvent,
)
from backhaul.driver import LoopDriver
from backhaul.errors import LinkConnectError, RemoteProtocolError
from backhaul.links import Link, LinkOwner
from backhaul.tasks import TaskOwner
from backhaul.transports.base import Connector, LinkTransport
from edge.core.link_load import PathQuality, ShortestLately, good_uses, is_stalled
from edge.dials import Dials

__all__ = ["LinkPool", "MakeLink", "PoolOwner", "PooledLink"]

_YOUNG_S: Final = 2.0

MakeLink = Callable[[LinkOwner], Link]

_log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class PooledLink:
    """One link and what its pool knows of it."""

    number: int
    link: Link
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
            self.link.unanswered_s(now), rtt_s=rtt_s or 0.0, interval_s=interval_s
        )
        self.has_carried = now - self.ready_at >= _YOUNG_S
        if rtt_s is not None:
            self._judge(self._shortest.note(rtt_s, now=now))
        return self.stalled is not was_stalled

    def _judge(self, rtt_s: float) -> None:
        measured = self.link.quality
        both = [one for one in (measured.sent, measured.received) if one is not None]
        loss = max((one.loss for one in both), default=0.0)
        self.quality = PathQuality(
            loss=loss if self.has_carried else 0.0,
            late_p99_s=max((one.late_p99_s for one in both), default=0.0),
            rtt_s=rtt_s,
        )


class PoolOwner(Protocol):
    """Whom a pool tells what happens on its links."""

    def on_link_ready(self, link: Link) -> None:
        """A link can be used."""
        ...

    def on_link_message(self, link: Link, message: Message) -> None:
        """An agent said something that concerns no single call."""
        ...

    def on_link_lost(self, link: Link) -> None:
        """A link that was ready is gone; its channels look for another one."""
        ...


class LinkPool:
    """Links over one transport to one agent address, dialled before they are needed.

    Attributes:
        transport: What they are dialled with.
        pool: Decides which to open, lend and replace.
        links: Those that are open or being opened, by number.
    """

    def __init__(
        self,
        transport: LinkTransport,
        address: str,
        *,
        config: WarmPoolConfig,
        connector: Connector,
        connect_timeout_s: float,
        heartbeat_interval_s: float,
        dials: Dials,
        make_link: MakeLink,
        owner: PoolOwner,
        rng: random.Random,
    ) -> None:
        self.transport: LinkTransport = transport
        self.pool = WarmPool(config=config, rng=rng, now=monotonic_s())
        self.links: dict[int, PooledLink] = {}
        self._address = address
        self._connector = connector
        self._connect_timeout_s = connect_timeout_s
        self._heartbeat_interval_s = heartbeat_interval_s
        self._dials = dials
        self._make_link = make_link
        self._owner = owner
        self._tickets = itertools.count(1)
        self._given: dict[int, int] = {}
        self._failing = False
        self._tasks = TaskOwner()
        self._driver: LoopDriver[WarmPoolEvent, WarmPoolAction] = LoopDriver(
            self.pool, self._perform
        )

    def start(self) -> None:
        """Begin to dial."""
        self._driver.start()

    def drain(self) -> None:
        """Dial no more; a link closes when no call uses it any more."""
        self._driver.feed(Drained())

    async def aclose(self, reason: str) -> None:
        """Close every link."""
        self._driver.close()
        for pooled in list(self.links.values()):
            pooled.link.close(reason)
        await self._tasks.aclose()

    # Lending

    def acquire(
        self, instance: str, *, but: Link | None = None, may_crowd: bool = False
    ) -> PooledLink | None:
        """Return a link for one more call, or None; never waits, never dials.

        Args:
            instance: The agent's process that the link must lead to.
            but: Not this one: the call has that already.
            may_crowd: Rather share one beyond what is good for it than get none.
        """
        among = tuple(
            pooled.number
            for pooled in self.links.values()
            if pooled.usable
            and pooled.link is not but
            and pooled.link.peer.instance == instance
        )
        # Only who finds nothing anywhere counts as turned away.
        if not may_crowd and among:
            lendable = self.pool.lendable()
            among = tuple(number for number in among if number in lendable)
        if not among and (but is not None or not may_crowd):
            return None
        ticket = next(self._tickets)
        self._driver.feed(
            ConnectionRequested(
                ticket, may_open=False, may_crowd=may_crowd, among=among
            )
        )
        number = self._given.pop(ticket, None)
        return None if number is None else self.links[number]

    def release(self, pooled: PooledLink) -> None:
        """Give a link back that was lent for one call."""
        self._driver.feed(ConnectionReleased(pooled.number))

    # Looking after the links

    @property
    def usable(self) -> tuple[PooledLink, ...]:
        """The links that are ready and whose peer answers."""
        return tuple(pooled for pooled in self.links.values() if pooled.usable)

    def quality(self) -> PathQuality:
        """Return how its links behave lately: the median of them."""
        usable = self.usable
        grown = [pooled for pooled in usable if pooled.has_carried]
        seen = [pooled.quality for pooled in grown or usable]
        if not seen:
            return PathQuality()
        middle = (len(seen) - 1) // 2
        return PathQuality(
            loss=sorted(one.loss for one in seen)[middle],
            late_p99_s=sorted(one.late_p99_s for one in seen)[middle],
            rtt_s=sorted(one.rtt_s for one in seen)[middle],
        )

    def look(self, now: float) -> None:
        """Take note of how its links behave, and whose peer does not answer."""
        for pooled in self.links.values():
            if pooled.look(now, interval_s=self._heartbeat_interval_s):
                _log.info(
                    "link.stalled" if pooled.stalled else "link.answered",
                    address=self._address,
                    transport=self.transport,
                )

    def set_uses(self, path: PathQuality) -> None:
        """Say how many calls each link is good for; *path* knows of loss beside it."""
        for pooled in list(self.links.values()):
            if pooled.ready_at is None:
                continue
            own = pooled.quality
            seen = PathQuality(max(path.loss, own.loss), own.late_p99_s, own.rtt_s)
            uses = good_uses(seen, over_tcp=self.transport != "quic")
            self._set_uses(pooled, 0 if pooled.stalled else uses)

    def _set_uses(self, pooled: PooledLink, max_uses: int) -> None:
        if max_uses != pooled.max_uses:
            pooled.max_uses = max_uses
            self._driver.feed(UsesChanged(pooled.number, max_uses))

    def draining(self) -> set[int]:
        """Return the links that were replaced and wait for their calls to leave."""
        states = self.pool.states().items()
        return {number for number, at in states if at is ConnectionState.DRAINING}

    # What the pool orders

    def _perform(self, action: WarmPoolAction) -> None:
        match action:
            case OpenConnection(number):
                name = f"dial:{self.transport}:{self._address}:{number}"
                self._tasks.spawn(self._dial(number), name=name)
            case LendConnection(ticket, number):
                self._given[ticket] = number
            case RefuseRequest():
                pass
            case CloseConnection(number):
                pooled = self.links.pop(number, None)
                if pooled is not None:
                    pooled.settled.set()
                    pooled.link.close("retired")

    async def _dial(self, number: int) -> None:
        retry = self._failing
        async with self._dials.turn(retry=retry):
            if retry or not self._failing:
                await self._take_turn(number)
                return
        # Another dial to this peer failed meanwhile: leave the turn to others.
        async with self._dials.turn(retry=True):
            await self._take_turn(number)

    async def _take_turn(self, number: int) -> None:
        if number not in self.pool.states():
            return  # no longer wanted
        owner = _Owner(self, number)
        pooled = PooledLink(number, self._make_link(owner))
        self.links[number] = pooled
        await self._connect(pooled)
        await pooled.settled.wait()

    async def _connect(self, pooled: PooledLink) -> None:
        link = pooled.link
        try:
            await self._connector.connect(
                link, self._address, timeout_s=self._connect_timeout_s
            )
        except LinkConnectError as exc:
            if not self._failing:  # once, not at every further try
                _log.warning(
                    "link.connect_failed",
                    address=self._address,
                    transport=self.transport,
                    reason=exc.reason,
                )
            link.close("connect failed")

    # What its links tell

    def on_ready(self, number: int, link: Link) -> None:
        """A link's peer said hello."""
        self._failing = False
        pooled = self.links.get(number)
        if pooled is None:
            return  # retired meanwhile
        pooled.ready_at = monotonic_s()
        pooled.settled.set()
        pooled.max_uses = good_uses(PathQuality(), over_tcp=self.transport != "quic")
        self._driver.feed(ConnectionOpened(number, pooled.max_uses))
        self._owner.on_link_ready(link)

    def on_message(self, link: Link, message: Message) -> None:
        """A link's peer said something."""
        self._owner.on_link_message(link, message)

    def on_closed(self, number: int, link: Link, *, was_ready: bool) -> None:
        """A link is gone."""
        pooled = self.links.pop(number, None)
        if pooled is not None:
            pooled.settled.set()
            if was_ready:
                self._driver.feed(ConnectionLost(number))
            else:
                self._failing = True
                self._driver.feed(OpenFailed(number))
        if was_ready:
            self._owner.on_link_lost(link)


@dataclass(slots=True)
class _Owner:
    """Hears what happens on one link (`LinkOwner`)."""

    pool: LinkPool
    number: int
    was_ready: bool = False

    def on_link_ready(self, link: Link) -> None:
        self.was_ready = True
        self.pool.on_ready(self.number, link)

    def on_link_message(self, link: Link, message: Message) -> None:
        self.pool.on_message(link, message)

    def on_channel_opened(
        self,
        channel: Channel,  # noqa: ARG002
        message: Open,  # noqa: ARG002
    ) -> ChannelHandler:
        raise RemoteProtocolError("agents open no channels")

    def on_link_closed(self, link: Link, reason: str) -> None:  # noqa: ARG002
        self.pool.on_closed(self.number, link, was_ready=self.was_ready)
