"""Warm links to one agent address over one transport: does what their pool decides."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from backhaul.channels import Channel, ChannelHandler
from backhaul.clock import monotonic_s
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
from edge.core.dial_budget import patience_s
from edge.core.link_load import PathQuality, good_uses
from edge.dials import Dials
from edge.pooled_link import PooledLink, telling

__all__ = ["LinkPool", "MakeLink", "PoolOwner"]

_ROUND_TRIPS: Final = 4
"""That a dial takes: TCP, TLS, WebSocket and hello; QUIC with a Retry no more."""

MakeLink = Callable[[LinkOwner], Link]

_log = structlog.get_logger()


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
        self._alone = asyncio.Lock()
        """Held by the one dial that finds out whether a peer which failed is back."""
        self._slow: PooledLink | None = None
        """The dial that may take its time, also when it has lost its place."""
        self._needs_s: float | None = None
        """What a dial takes here; None: not known."""
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
        if self._slow is not None:
            self._slow.link.close("not wanted any more")

    async def aclose(self, reason: str) -> None:
        """Close every link."""
        self._driver.close()
        slow = [] if self._slow is None else [self._slow]
        for pooled in [*self.links.values(), *slow]:
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
        """Return how its links behave lately: the median of those that can tell."""
        seen = [pooled.quality for pooled in telling(self.usable)]
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
        rtt_s = self.quality().rtt_s
        if rtt_s:
            self._needs_s = _ROUND_TRIPS * rtt_s

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

    # Dialling

    async def _dial(self, number: int) -> None:
        while True:
            if self._failing:
                async with self._alone:
                    if self._failing:
                        async with self._dials.turn(retry=True):
                            await self._take_turn(number)
                        return
            else:
                async with self._dials.turn(retry=False):
                    if not self._failing:
                        await self._take_turn(number)
                        return
                # Another dial to this peer failed meanwhile: leave the turn to others.

    async def _take_turn(self, number: int) -> None:
        """Dial, but keep nobody waiting for long: the path may have opened since.

        What was sent into a path that loses everything is sent again ever more seldom,
        so a new dial finds out sooner that the path is back.
        """
        if self.pool.states().get(number) is not ConnectionState.OPENING:
            return  # no longer wanted, or served by a slow one
        owner = _Owner(self)
        pooled = PooledLink(number, self._make_link(owner), dialled_at=monotonic_s())
        owner.pooled = self.links[number] = pooled
        limit_s = patience_s(self._needs_s, longest_s=self._connect_timeout_s)
        with contextlib.suppress(TimeoutError):
            if self._slow is None and limit_s < self._connect_timeout_s:
                self._slow = pooled
                name = f"dial:{self.transport}:{self._address}:{number}:slow"
                self._tasks.spawn(self._connect(pooled), name=name)
                async with asyncio.timeout(limit_s):
                    await pooled.settled.wait()
                return
            async with asyncio.timeout(limit_s):
                await self._connect(pooled)
                await pooled.settled.wait()
                return
        self._on_overdue(pooled)

    async def _connect(self, pooled: PooledLink) -> None:
        try:
            await self._connector.connect(
                pooled.link, self._address, timeout_s=self._connect_timeout_s
            )
        except LinkConnectError as exc:
            self._log_failure(exc.reason)
            pooled.link.close("connect failed")

    def _on_overdue(self, pooled: PooledLink) -> None:
        """A dial keeps the next one waiting no longer; a slow one goes on."""
        self._log_failure("no answer in time")
        if pooled is not self._slow:
            pooled.link.close("no answer in time")
        elif self.links.get(pooled.number) is pooled:
            del self.links[pooled.number]
            self._failing = True
            self._driver.feed(OpenFailed(pooled.number))

    def _log_failure(self, reason: str) -> None:
        if not self._failing:  # once, not at every further try
            _log.warning(
                "link.connect_failed",
                address=self._address,
                transport=self.transport,
                reason=reason,
            )

    def _find_place(self, pooled: PooledLink) -> bool:
        """Give a slow dial that succeeded the place of one that is still under way."""
        self._needs_s = monotonic_s() - pooled.dialled_at
        for number, at in self.pool.states().items():
            if at is ConnectionState.OPENING:
                rival, pooled.number = self.links.get(number), number
                self.links[number] = pooled
                if rival is not None:
                    rival.link.close("another one was sooner")
                return True
        return False

    # What its links tell

    def on_ready(self, pooled: PooledLink) -> None:
        """A link's peer said hello."""
        self._failing = False
        if self._slow is pooled:
            self._slow = None
        has_place = self.links.get(pooled.number) is pooled
        if not has_place and not self._find_place(pooled):
            pooled.link.close("not wanted any more")
            return
        pooled.ready_at = monotonic_s()
        pooled.settled.set()
        pooled.max_uses = good_uses(PathQuality(), over_tcp=self.transport != "quic")
        self._driver.feed(ConnectionOpened(pooled.number, pooled.max_uses))
        self._owner.on_link_ready(pooled.link)

    def on_message(self, link: Link, message: Message) -> None:
        """A link's peer said something."""
        self._owner.on_link_message(link, message)

    def on_closed(self, pooled: PooledLink) -> None:
        """A link is gone."""
        pooled.settled.set()
        if self._slow is pooled:
            self._slow = None
        if self.links.get(pooled.number) is pooled:
            del self.links[pooled.number]
            if pooled.ready_at is not None:
                self._driver.feed(ConnectionLost(pooled.number))
            else:
                self._failing = True
                self._driver.feed(OpenFailed(pooled.number))
        if pooled.ready_at is not None:
            self._owner.on_link_lost(pooled.link)


@dataclass(slots=True)
class _Owner:
    """Hears what happens on one link (`LinkOwner`)."""

    pool: LinkPool
    pooled: PooledLink = field(init=False)

    def on_link_ready(self, link: Link) -> None:  # noqa: ARG002
        self.pool.on_ready(self.pooled)

    def on_link_message(self, link: Link, message: Message) -> None:
        self.pool.on_message(link, message)

    def on_channel_opened(
        self,
        channel: Channel,  # noqa: ARG002
        message: Open,  # noqa: ARG002
    ) -> ChannelHandler:
        raise RemoteProtocolError("agents open no channels")

    def on_link_closed(self, link: Link, reason: str) -> None:  # noqa: ARG002
        self.pool.on_closed(self.pooled)
