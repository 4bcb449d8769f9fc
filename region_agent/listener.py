"""Accepts links from edges: leases, calls, greetings and stock."""

import asyncio
import contextlib
import math
import ssl
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any

from backhaul.channel_table import ChannelTables
from backhaul.channels import Channel, ChannelHandler
from backhaul.clock import monotonic_s
from backhaul.core.audio_receiver import ChannelCounters
from backhaul.core.link import LinkConfig
from backhaul.core.messages import (
    CloseReason,
    Find,
    Greeting,
    HandoverReason,
    Hello,
    LeaseRelease,
    LeaseRequest,
    Message,
    Open,
    Presence,
    Script,
    Stock,
    Surge,
)
from backhaul.credentials import LinkCredentials
from backhaul.errors import RemoteProtocolError
from backhaul.links import Link
from backhaul.pki import Role, peer_identity
from backhaul.tasks import TaskOwner
from backhaul.transports.ports import listen_everywhere
from backhaul.transports.quic_admission import QuicCounters
from backhaul.transports.quic_listener import QuicListener
from region_agent.bridge import Bridge
from region_agent.bridge_counters import BridgeCounters
from region_agent.call_copies import CallCopies
from region_agent.call_services import CallServices
from region_agent.core.conversation_events import LeaveWanted
from region_agent.core.departure import drained
from region_agent.core.edge_roster import EdgeRoster
from region_agent.greetings import push_greetings
from region_agent.leases import Leases
from region_agent.orphans import Orphans
from region_agent.sessions import Sessions

__all__ = ["LinkListener"]

_CLOSE_TIMEOUT_S = 2.0
_STOCK_SPACING_S = 0.05
"""A burst of calls changes the stock with each of them; edges reckon meanwhile."""


class LinkListener:
    """Every link of this agent (`LinkOwner`).

    Attributes:
        leases: What edges hold of its sessions.
        orphans: Which edge has which call.
        copies: What the region's store knows of the calls.
        batcher: Has the links send.
    """

    def __init__(
        self,
        *,
        hello: Hello,
        config: LinkConfig,
        stock_interval_s: float,
        orphan_grace_s: float,
        lease_ttl_s: float,
        on_surge: Callable[[Surge], None],
        copies: CallCopies,
    ) -> None:
        """Make it.

        Args:
            hello: Who we are.
            config: Of the links.
            stock_interval_s: Between two reports of the stock (s).
            orphan_grace_s: How long calls and leases wait for a link or an edge (s).
            lease_ttl_s: How long a call waits for an edge that has announced itself
                (s).
            on_surge: Hears of every surge.
            copies: Hears how calls end, and knows of those of other agents.
        """
        self._on_surge = on_surge
        self.copies = copies
        self.orphans = Orphans(
            grace_s=orphan_grace_s, reserved_s=lease_ttl_s, recall=copies.recall
        )
        self.counters = BridgeCounters()
        self.calls_ended: Counter[CloseReason] = Counter()
        self.draining = False
        self._leave_by = 0.0
        """When a drain ends (monotonic s)."""
        self._hello = hello
        self._config = config
        self._stock_interval_s = stock_interval_s
        self._sessions: Sessions
        self._services: CallServices
        self._links: dict[Link, None] = {}
        self._tables = ChannelTables(grace_s=orphan_grace_s)
        self.batcher = self._tables.batcher
        self._bridges: dict[Bridge, None] = {}
        self._roster = EdgeRoster()
        self.leases = Leases(
            orphan_grace_s=orphan_grace_s,
            is_linked=self._is_linked,
            on_ended=self._note_idle,
            reserve=self.orphans.reserve,
            give_back=self.orphans.release,
            fence=self.orphans.fence,
        )
        self._tasks = TaskOwner()
        self._loop = asyncio.get_running_loop()
        self._stock_push_due = False
        self._stock_pushed_at = -math.inf
        self._idle = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._quic: QuicListener | None = None

    @property
    def port(self) -> int:
        """Port of the link listener; 0 before it listens."""
        if self._server is None:
            return 0
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def link_count(self) -> int:
        """Links that are ready."""
        return len(self._links)

    @property
    def quic_counters(self) -> QuicCounters:
        """What became of those who asked for a link over QUIC."""
        return self._quic.counters if self._quic is not None else QuicCounters()

    @property
    def channel_counters(self) -> ChannelCounters:
        """What became of the frames of all channels."""
        return self._tables.counters

    @property
    def active_calls(self) -> int:
        """Calls being talked on."""
        return len(self._bridges)

    def bridges(self) -> tuple[Bridge, ...]:
        """Return the live calls."""
        return tuple(self._bridges)

    async def start(
        self,
        sessions: Sessions,
        services: CallServices,
        *,
        host: str,
        port: int,
        context: ssl.SSLContext,
        quic: LinkCredentials | None,
    ) -> None:
        """Listen for links; offer *sessions*, push greetings, serve calls.

        Args:
            sessions: What is offered.
            services: What calls need.
            host: Where to listen, on TCP and UDP.
            port: The port on both; 0 picks one.
            context: Of the TCP listener.
            quic: Who we are on UDP; None: do not listen there.
        """
        self._sessions = sessions
        self.leases.start(sessions)
        self._services = services
        self._server, self._quic = await listen_everywhere(
            self._accept, host, port, context=context, quic=quic
        )
        self._tasks.spawn(self._push_stock_forever(), name="stock")

    async def drain(self, timeout_s: float) -> None:
        """Grant no more leases and have the calls go elsewhere, within limits."""
        self.draining = True
        self._sessions.drain()
        self._push_stock()
        now = monotonic_s()
        self._leave_by = now + timeout_s
        bridges = list(self._bridges)
        leaving = drained(len(bridges), timeout_s=timeout_s, now=now)
        for bridge, wanted in zip(bridges, leaving, strict=True):
            bridge.leave(wanted)
        self._idle.clear()
        self._note_idle()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        for bridge in list(self._bridges):
            bridge.close(CloseReason.DRAINED)

    async def aclose(self) -> None:
        """Close the listener, every call and every link."""
        await self._tasks.aclose()
        await self.orphans.aclose()
        self.leases.close()
        if self._server is not None:
            self._server.close()
        for bridge in list(self._bridges):
            bridge.close(CloseReason.DRAINED)
        for link in list(self._links):
            link.close("agent stops")
        self._tables.close()
        if self._quic is not None:
            await self._quic.aclose()
        if self._server is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                    await self._server.wait_closed()

    def push_phrase(self, phrase: Greeting | Script) -> None:
        """Send what has just become ready to every edge."""
        for link in self._links:
            push_greetings(link, deque((phrase,)))

    def push_to_edges(self, message: Message) -> None:
        """Send *message* to every edge, on the link of it that answers best."""
        now = monotonic_s()
        best: dict[tuple[str, object], Link] = {}
        for link in sorted(self._links, key=lambda one: -one.unanswered_s(now)):
            best[link.peer.name, link.peer.instance or link] = link
        for link in best.values():
            link.send(message)

    def _accept(self) -> Link:
        return Link(
            hello=self._hello,
            config=self._config,
            owner=self,
            check_peer=_check_peer,
            tables=self._tables,
        )

    # LinkOwner

    def on_link_ready(self, link: Link) -> None:
        """An edge said hello; see LinkOwner."""
        self._links[link] = None
        self.orphans.on_edge_ready(link.peer)
        phrases = self._services.phrases
        ready: deque[Greeting | Script] = deque(phrases.ready.values())
        ready.extend(phrases.scripts.values())
        push_greetings(link, ready)
        link.send(self._stock())

    def on_link_message(self, link: Link, message: Message) -> None:
        """An edge asks for a lease or gives one back; see LinkOwner."""
        match message:
            case LeaseRequest():
                self.leases.request(link, message)
            case LeaseRelease(lease_id):
                self.leases.release(link.peer, lease_id)
            case Surge():
                self._on_surge(message)
                self.on_stock_changed()
            case Find():
                self.orphans.find(link, message)
            case Presence():
                self._answer_presence(link, message)
            case _:
                pass

    def on_channel_opened(self, channel: Channel, message: Open) -> ChannelHandler:
        """A call begins, or comes from a lost edge; see LinkOwner."""
        kept = self.orphans.take(channel, message)
        if kept is not None:
            return kept
        lease = self.leases.redeem(channel.peer, message)
        if isinstance(lease, CloseReason):
            return self._refuse_channel(channel, lease)

        def end(bridge: Bridge, reason: CloseReason) -> None:
            self._on_call_ended(bridge, reason)
            lease.sessions.end_call(lease.number)

        bridge = Bridge(
            channel,
            lease.session,
            message,
            profile=lease.sessions.profile,
            services=self._services,
            counters=self.counters,
            on_ended=end,
            report=lease.sessions.report(lease.number),
        )
        self._bridges[bridge] = None
        self.orphans.begin(bridge)
        bridge.start()
        if self.draining:  # its lease is from before
            now, by = monotonic_s(), self._leave_by
            bridge.leave(LeaveWanted(HandoverReason.DRAINING, now, by))
        self.on_stock_changed()
        return bridge

    def on_link_closed(self, link: Link, reason: str) -> None:  # noqa: ARG002
        """A link is gone; see LinkOwner."""
        if link not in self._links:
            return  # it never said hello
        del self._links[link]
        if not self._is_linked(link.peer):
            self.leases.on_link_lost(link.peer)
            self.orphans.on_edge_lost(link.peer)
            self._roster.lose(link.peer.name, link.peer.instance)

    def _is_linked(self, peer: Hello) -> bool:
        return any(link.peer == peer for link in self._links)

    def on_stock_changed(self) -> None:
        """Tell the edges soon, once for all that changes in one turn."""
        if not self._stock_push_due:
            self._stock_push_due = True
            wait_s = self._stock_pushed_at + _STOCK_SPACING_S - monotonic_s()
            self._loop.call_later(max(wait_s, 0.0), self._push_stock)

    def _refuse_channel(self, channel: Channel, reason: CloseReason) -> ChannelHandler:
        self.calls_ended[reason] += 1
        channel.close(reason)
        return _Refused()

    # Calls

    def _on_call_ended(self, bridge: Bridge, reason: CloseReason) -> None:
        del self._bridges[bridge]
        self.calls_ended[reason] += 1
        self.orphans.end(bridge)
        self.copies.end(bridge, reason)
        self.on_stock_changed()
        self._note_idle()

    def _note_idle(self) -> None:
        if not self._bridges and not self.leases:
            self._idle.set()

    def _answer_presence(self, link: Link, presence: Presence) -> None:
        present = self._roster.hear(
            link.peer.name,
            presence,
            instance=link.peer.instance,
            rtt_s=link.smoothed_rtt_s,
            now=monotonic_s(),
        )
        link.send(present)

    # Stock

    def _stock(self) -> Stock:
        return Stock(
            profiles=self._sessions.stock(),
            active_calls=self.active_calls,
            target_calls=self._sessions.capacity.target,
            max_calls=self._sessions.capacity.limit,
            draining=self.draining,
            surge=self._sessions.surge_factor,
        )

    def _push_stock(self) -> None:
        self._stock_push_due = False
        self._stock_pushed_at = monotonic_s()
        self.push_to_edges(self._stock())

    async def _push_stock_forever(self) -> None:
        while True:
            await asyncio.sleep(self._stock_interval_s)
            self._push_stock()


class _Refused:
    """Hears of a channel that was closed as soon as it opened."""

    def on_audio(self, audio: bytes) -> None:
        pass

    def on_message(self, message: Message) -> None:
        pass

    def on_channel_closed(self, reason: CloseReason) -> None:
        pass


def _check_peer(certificate: Mapping[str, Any], hello: Hello | None) -> None:
    identity = peer_identity(certificate)
    if identity.role is not Role.EDGE:
        raise RemoteProtocolError("certificate is not of an edge")
    if hello is not None and hello.name != identity.name:
        raise RemoteProtocolError("edge says it is another one")
