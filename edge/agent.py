"""One agent as an edge sees it: its links, its stock, and the calls it has."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from backhaul.channels import Channel, ChannelHandler
from backhaul.clock import monotonic_s
from backhaul.core.link import LinkState
from backhaul.core.messages import (
    CloseReason,
    Find,
    Found,
    Greeting,
    KeptCall,
    LeaseGranted,
    LeaseRefused,
    LeaseRelease,
    LeaseRequest,
    Members,
    Message,
    Open,
    PresentEdges,
    Script,
    Stock,
)
from backhaul.links import Link, LinkCounters
from edge.core.call_story import SessionPlace
from edge.core.link_load import MoveReason
from edge.core.region_evidence import RegionEvidence
from edge.link_pool import LinkPool
from edge.seats import Seats

__all__ = ["Agent", "AgentCounters", "Fleet"]

_log = structlog.get_logger()

LeaseAnswer = LeaseGranted | LeaseRefused
FindAnswer = Callable[["Agent", KeptCall | None], None]


class Fleet(Protocol):
    """Whom an agent tells of itself."""

    def on_agent_reached(self, agent: "Agent") -> None:
        """Its first link is ready."""
        ...

    def on_agent_lost(self, agent: "Agent") -> None:
        """Its last link is gone."""
        ...

    def on_stock(self, agent: "Agent") -> None:
        """It says what it has."""
        ...

    def on_edges(self, agent: "Agent") -> None:
        """It says which edges it hears of."""
        ...

    def on_phrase(self, phrase: Greeting | Script) -> None:
        """It has rendered what callers may hear without it."""
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
        seats: Its calls, and the links that they use.
        counters: What has happened on its links.
        closed_links: What passed over links that are gone.
        evidence: What its calls and those of others tell of its region.
        draining: Whether it closes its links as they become free, for good.
        edges: The edges that it can be reached by: the round trip to each (s).
        rooms: How many more new calls they take, of those that say so.
        edges_told_at: When it said so (monotonic s).
    """

    def __init__(
        self,
        address: str,
        region: str,
        *,
        fleet: Fleet,
        patience_s: float,
        evidence: RegionEvidence,
    ) -> None:
        """Know it, and nothing of it.

        Args:
            address: host:port at which it is dialled.
            region: Where it is.
            fleet: Whom it tells of itself.
            patience_s: See `EdgeSettings.agent_patience_s`.
            evidence: Of its region.
        """
        self.evidence = evidence
        self.address = address
        self.region = region
        self.stock = Stock()
        self.greetings: dict[str, Greeting] = {}
        self.seats = Seats(
            address,
            patience_s=patience_s,
            on_moved=lambda reason: fleet.on_moved(self, reason),
            on_acquired=fleet.on_acquired,
        )
        self.counters = AgentCounters()
        self.closed_links = LinkCounters()
        self.draining = False
        self.edges: dict[str, float] = {}
        self.rooms: dict[str, int] = {}
        self.edges_told_at = -math.inf
        self._fleet = fleet
        self._ready: dict[Link, None] = {}
        self._asked: dict[str, _Asked] = {}
        self._finds: dict[str, FindAnswer] = {}
        self._closing = False

    def start(self, pools: tuple[LinkPool, ...]) -> None:
        """Begin to dial over *pools*, the preferred transport first."""
        self.seats.pools = pools
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
    def pools(self) -> tuple[LinkPool, ...]:
        """Its links by transport, the preferred one first."""
        return self.seats.pools

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
        return len(self.seats)

    @property
    def gone(self) -> bool:
        """Whether it has drained and nothing of it is left."""
        left = any(pool.links or pool.pool.states() for pool in self.pools)
        return self.draining and not self._ready and not left

    @property
    def link(self) -> Link | None:
        """The link for what belongs to no call, None if there is none."""
        return next(self.seats.usable_links(), None)

    def links(self) -> tuple[Link, ...]:
        """Return every link that is ready."""
        return tuple(self._ready)

    @property
    def smoothed_rtt_s(self) -> float | None:
        """Round trip to it (s), None before the first one was measured."""
        link = self.link
        return None if link is None else link.smoothed_rtt_s

    @property
    def place(self) -> SessionPlace:
        """Where it is, for who looks at a call afterwards."""
        link = self.link
        if link is None:
            return SessionPlace(self.region, "")
        rtt_s = link.smoothed_rtt_s
        return SessionPlace(self.region, link.peer.name, link.transport_name, rtt_s)

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
            self._take_back(request.lease_id, link)
            return LeaseRefused(request.lease_id, CloseReason.NO_ANSWER), ""
        except asyncio.CancelledError:
            # Whoever asked has run out of time.
            self._take_back(request.lease_id, link)
            raise
        finally:
            del self._asked[request.lease_id]

    def _take_back(self, lease_id: str, asked: Link) -> None:
        """Give back what *asked* was asked for and may have been granted since."""
        if asked.state is LinkState.READY:
            asked.send(LeaseRelease(lease_id))  # over another it might come first
        if asked not in self.seats.usable_links():
            self.release_lease(lease_id, asked.peer.instance)

    def release_lease(self, lease_id: str, instance: str) -> None:
        """Give a lease back, over any link to the process that gave it."""
        links = (
            one for one in self.seats.usable_links() if one.peer.instance == instance
        )
        link = next(links, None)
        if link is not None:
            link.send(LeaseRelease(lease_id))

    def find(self, call_sid: str, answer: FindAnswer) -> bool:
        """Ask what it knows of a call; return whether it can be asked.

        Args:
            call_sid: The call.
            answer: Is given what it knows, unless that comes after `forget`.
        """
        link = self.link
        if link is None:
            return False
        self._finds[call_sid] = answer
        link.send(Find(call_sid))
        return True

    def forget(self, call_sid: str) -> None:
        """Nobody waits for an answer to `find` any more."""
        self._finds.pop(call_sid, None)

    # Calls

    def open_channel(
        self, handler: ChannelHandler, message: Open, *, instance: str
    ) -> Channel | None:
        """Start a call with the agent's process *instance*; None: no link is ready.

        It never waits and never dials. `Seats.release` must follow when it is over.
        """
        channel = self.seats.open_channel(handler, message, instance=instance)
        self.counters.unavailable += channel is None
        return channel

    # PoolOwner

    def on_link_ready(self, link: Link) -> None:
        """A link can be used; see PoolOwner."""
        self.counters.opened += 1
        self._ready[link] = None
        if len(self._ready) == 1:
            self._fleet.on_agent_reached(self)

    def on_link_message(self, link: Link, message: Message) -> None:
        """The agent says what it has, or answers a request; see PoolOwner."""
        match message:
            case Stock():
                self.stock = message
                self._fleet.on_stock(self)
            case Greeting(profile):
                self.greetings[profile] = message
                self._fleet.on_phrase(message)
            case Script():
                self._fleet.on_phrase(message)
            case LeaseGranted() | LeaseRefused() | Found():
                self._on_answer(message, link)
            case Members():
                self._fleet.on_members(self, message)
            case PresentEdges(rtt_s, rooms):
                self.edges, self.rooms = rtt_s, rooms
                self.edges_told_at = monotonic_s()
                self._fleet.on_edges(self)
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
                self._settle(LeaseRefused(lease_id, CloseReason.LINK_LOST), link)
                self._take_back(lease_id, link)
        if not self._closing:
            self.seats.rescue(link)
        if not self._ready:
            self.stock, self.edges = Stock(), {}
            self._fleet.on_agent_lost(self)

    def _on_answer(self, message: LeaseAnswer | Found, link: Link) -> None:
        if not isinstance(message, Found):
            self._settle(message, link)
            return
        answer = self._finds.pop(message.call_sid, None)
        if answer is not None:
            answer(self, message.call)

    def _settle(self, given: LeaseAnswer, link: Link) -> None:
        asked = self._asked.get(given.lease_id)
        if asked is not None and not asked.answer.done():
            asked.answer.set_result(given)
        elif isinstance(given, LeaseGranted):
            # Nobody waits for it any more, and nobody else would give it back.
            link.send(LeaseRelease(given.lease_id))
