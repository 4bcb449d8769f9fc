"""One link at work: runs its machine, batches frames and hands them to channels."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog

from backhaul.batcher import Batch
from backhaul.channel_table import ChannelTable, ChannelTables
from backhaul.channels import Channel, ChannelHandler
from backhaul.clock import monotonic_s
from backhaul.core.arrival import ArrivalEstimator, unpack_stamp
from backhaul.core.frames import (
    LINK_CHANNEL,
    Frame,
    FrameKind,
    decode_batch,
)
from backhaul.core.link import (
    CloseTransport,
    LinkAction,
    LinkConfig,
    LinkEvent,
    LinkMachine,
    LinkState,
    LinkStateChanged,
    MessageReceived,
    SendHeartbeat,
    SendMessage,
    TransportClosed,
    TransportOpened,
    UseChanged,
)
from backhaul.core.messages import (
    ChannelUnknown,
    Heartbeat,
    HeartbeatReply,
    Hello,
    Message,
    Open,
    Receipt,
    decode_message,
    encode_message,
)
from backhaul.driver import LoopDriver
from backhaul.errors import LocalProtocolError, RemoteProtocolError
from backhaul.transports.base import Transport

__all__ = ["Link", "LinkCounters", "LinkOwner", "LinkQuality"]

MAX_BACKLOG_BYTES = 8 * 1024 * 1024
"""A peer that lets this much wait in our process reads nothing any more."""

_STAMP: Final = FrameKind.STAMP
_CLOSED: Final = LinkState.CLOSED
_MAX_DISOWNED: Final = 1024
"""Unknown channels that a link remembers: each of them is answered once."""

_log = structlog.get_logger()


@dataclass(slots=True)
class LinkCounters:
    """What passed over one link, and what was refused on it."""

    frames_received: int = 0
    batches_refused: int = 0
    batches_sent: int = 0

    def add(self, other: "LinkCounters") -> None:
        """Add what *other* counted."""
        self.frames_received += other.frames_received
        self.batches_refused += other.batches_refused
        self.batches_sent += other.batches_sent


@dataclass(frozen=True, slots=True)
class LinkQuality:
    """How things arrive over a link; None in a direction of which nothing is known."""

    sent: Receipt | None
    """What we send, as the peer sees it."""
    received: Receipt | None
    """What the peer sends."""


class LinkOwner(Protocol):
    """Whoever keeps links: the edge's link pool, the agent's listener."""

    def on_link_ready(self, link: "Link") -> None:
        """The peer said hello."""
        ...

    def on_link_message(self, link: "Link", message: Message) -> None:
        """A message on channel 0 arrived that is not the link's own business."""
        ...

    def on_channel_opened(self, channel: "Channel", message: Open) -> ChannelHandler:
        """The peer opened a channel; return who handles it."""
        ...

    def on_link_closed(self, link: "Link", reason: str) -> None:
        """The link is gone; called once.

        `Link.channels` are those it carried. Whoever opens channels moves them to
        another link of the same peer now; those that are left are stranded.
        """
        ...


class Link:
    """One mutually authenticated connection between an edge and an agent.

    All audio of one tick of the batcher leaves as one batch, and a message takes along
    at once what waits before it.

    Attributes:
        counters: What passed over it.
        channels: What it carries at the moment, also what was closed lately.
        queue: Puts one frame into the next batch; it leaves now if it is a message.
    """

    def __init__(
        self,
        *,
        hello: Hello,
        config: LinkConfig,
        owner: LinkOwner,
        check_peer: Callable[[Mapping[str, Any], Hello | None], None],
        tables: ChannelTables,
    ) -> None:
        """Make a link that is still without a transport.

        Args:
            hello: What we say of ourselves.
            config: Figures of the link.
            owner: Who is told of everything.
            check_peer: Raises RemoteProtocolError when the certificate is not one
                this side talks to, or does not fit the peer's hello.
            tables: What all links of this process share.
        """
        self.counters = LinkCounters()
        self.channels: dict[int, Channel] = {}
        self._owner = owner
        self._check_peer = check_peer
        self._certificate: Mapping[str, Any] = {}
        self._transport: Transport | None = None
        self._machine = LinkMachine(hello=hello, config=config, now=monotonic_s())
        self._driver: LoopDriver[LinkEvent, LinkAction] = LoopDriver(
            self._machine, self._perform
        )
        self._loop = asyncio.get_running_loop()
        self._tables = tables
        self._table: ChannelTable | None = None
        self._known: Mapping[int, Channel] = {}
        """Of the table, once there is one: all between the two processes."""
        self._arrivals = ArrivalEstimator()
        self._next_control = 0
        self._disowned: set[int] = set()
        self._batch = Batch(tables.batcher, self._send_batch)
        self.queue = self._batch.add
        self._driver.start()

    @property
    def state(self) -> LinkState:
        """Where the link stands."""
        return self._machine.state

    @property
    def peer(self) -> Hello:
        """What the peer said of itself; only once the link was ready."""
        assert self._machine.peer is not None  # noqa: S101 - narrows the type
        return self._machine.peer

    @property
    def smoothed_rtt_s(self) -> float | None:
        """Smoothed round-trip time (s), None before the first heartbeat."""
        return self._machine.rtt.smoothed_rtt_s

    @property
    def transport_name(self) -> str:
        """Label of the transport, ``none`` while there is none."""
        return self._transport.name if self._transport else "none"

    @property
    def channel_count(self) -> int:
        """Calls on this link."""
        return sum(not channel.closed for channel in self.channels.values())

    @property
    def quality(self) -> LinkQuality:
        """How things arrive over this link lately."""
        return LinkQuality(self._machine.receipt, self._arrivals.receipt())

    def on_use_changed(self, *, in_use: bool) -> None:
        """There are calls with the peer, over whichever link, or none any more."""
        self._driver.feed(UseChanged(in_use))

    def unanswered_s(self, now: float) -> float:
        """Return the age of the oldest heartbeat without an answer (s), 0 if none."""
        since = self._machine.unanswered_since
        return 0.0 if since is None else max(now - since, 0.0)

    @property
    def backlog_bytes(self) -> int:
        """Bytes that wait in this process for the peer to read."""
        written = self._transport.backlog_bytes() if self._transport else 0
        return self._batch.size_bytes + written

    def send(self, message: Message) -> None:
        """Send a message on channel 0."""
        number, self._next_control = self._next_control, self._next_control + 1
        payload = encode_message(message)
        self.queue(Frame(FrameKind.CONTROL, LINK_CHANNEL, number, payload))

    def open_channel(self, handler: ChannelHandler, message: Open) -> Channel:
        """Start a call; audio may follow at once, without waiting for an answer.

        Raises:
            LocalProtocolError: If the link is not ready.
        """
        if self._table is None or self._machine.state is not LinkState.READY:
            raise LocalProtocolError("a channel opened on a link that is not ready")
        return self._table.open(self, handler, message)

    def close(self, reason: str) -> None:
        """Close the link when what it was given is sent; see `LinkOwner`."""
        self._batch.flush()
        transport = self._transport
        self._driver.feed(TransportClosed(reason))
        if transport is not None:
            transport.close(reason)

    def _send_batch(self, frames: list[Frame]) -> None:
        transport = self._transport
        if transport is None:
            return
        if transport.backlog_bytes() > MAX_BACKLOG_BYTES:
            self._give_up("the peer stopped reading")
            return
        self.counters.batches_sent += 1
        transport.send_frames(frames)

    # TransportEvents

    def on_open(
        self, transport: Transport, peer_certificate: Mapping[str, Any]
    ) -> None:
        """The transport is connected; see TransportEvents."""
        if self._machine.state is _CLOSED:
            transport.close("no longer wanted")  # whoever dialled had given up
            return
        self._transport = transport
        self._certificate = peer_certificate
        try:
            self._check_peer(peer_certificate, None)
        except RemoteProtocolError as exc:
            self._give_up(exc.reason)
            return
        self._driver.feed(TransportOpened())

    def on_batch(self, batch: bytes) -> None:
        """A batch arrived; see TransportEvents."""
        if self._machine.state is _CLOSED:
            return
        try:
            self._receive_all(decode_batch(batch))
        except RemoteProtocolError as exc:
            self._refuse(exc)

    def on_frames(self, frames: Sequence[Frame]) -> None:
        """Frames arrived; see TransportEvents."""
        if self._machine.state is _CLOSED:
            return
        try:
            self._receive_all(frames)
        except RemoteProtocolError as exc:
            self._refuse(exc)

    def on_closed(self, reason: str) -> None:
        """The transport is gone; see TransportEvents."""
        self._driver.feed(TransportClosed(reason))

    def _receive_all(self, frames: Sequence[Frame]) -> None:
        stamped = bool(frames) and frames[0].kind is _STAMP
        self._tables.batcher.tick.passed(len(frames) - stamped)
        self.counters.frames_received += len(frames)
        for frame in frames:
            channel = self._known.get(frame.channel)
            if channel is not None:
                channel.receive(frame, self)
            else:
                self._receive(frame)
        self._tables.batcher.seize()

    def _refuse(self, error: RemoteProtocolError) -> None:
        self.counters.batches_refused += 1
        self._give_up(error.reason)

    def _receive(self, frame: Frame) -> None:
        if frame.channel != LINK_CHANNEL:
            self._on_unknown_channel(frame)
        elif frame.kind is FrameKind.CONTROL:
            self._on_link_message(decode_message(frame.payload))
        elif frame.kind is FrameKind.STAMP:
            ticks = unpack_stamp(frame.payload)
            self._arrivals.on_stamp(frame.sequence, ticks, now=monotonic_s())

    def _on_unknown_channel(self, frame: Frame) -> None:
        if self._table is None:
            raise RemoteProtocolError("channel used before hello")
        if frame.kind is FrameKind.CONTROL:
            message = decode_message(frame.payload)
            if isinstance(message, Open):
                self._accept_channel(self._table, frame, message)
                return
        # Nothing overtakes an `Open`, so this channel is over here, or never was. Late
        # words of one that both closed are common, and then the answer does no harm.
        if frame.channel not in self._disowned:
            if len(self._disowned) >= _MAX_DISOWNED:
                self._disowned.clear()
            self._disowned.add(frame.channel)
            self.send(ChannelUnknown(frame.channel))

    def _accept_channel(self, table: ChannelTable, frame: Frame, message: Open) -> None:
        channel = table.accept(self, frame.channel)
        channel.receive(frame, self)
        try:
            handler = self._owner.on_channel_opened(channel, message)
        except RemoteProtocolError:
            channel.forget()
            raise
        channel.bind(handler)

    def _on_link_message(self, message: Message) -> None:
        if isinstance(message, Hello):
            self._check_peer(self._certificate, message)
        self._driver.feed(MessageReceived(message))
        if self._table is None or self._machine.state is not LinkState.READY:
            return
        match message:
            case Hello() | HeartbeatReply():
                pass
            case Heartbeat():
                self._table.acknowledge(message.arrived)
            case ChannelUnknown():
                self._table.on_unknown(message)
            case _:
                self._owner.on_link_message(self, message)

    def _give_up(self, reason: str) -> None:
        self._perform(CloseTransport(reason))
        self._driver.feed(TransportClosed(reason))

    def _perform(self, action: LinkAction) -> None:
        match action:
            case SendMessage(message):
                self.send(message)
            case SendHeartbeat(number):
                self._send_heartbeat(number)
            case CloseTransport(reason):
                if self._transport is not None:
                    self._transport.close(reason)
            case LinkStateChanged():
                self._on_state_changed(action)

    def _send_heartbeat(self, number: int) -> None:
        news = (channel.news() for channel in self.channels.values())
        arrived = tuple(one for one in news if one is not None)
        self.send(Heartbeat(number, self._arrivals.receipt(), arrived))

    def _on_state_changed(self, change: LinkStateChanged) -> None:
        peer = self._machine.peer
        _log.info(
            "link.state_changed",
            peer=peer.name if peer else "",
            region=peer.region if peer else "",
            old=change.old.value,
            new=change.new.value,
            reason=change.reason,
        )
        if change.new is LinkState.READY:
            self._table = self._tables.join(self, self.peer)
            self._known = self._table.channels
            self._owner.on_link_ready(self)
        elif change.new is LinkState.CLOSED:
            self._loop.call_soon(self._shut, change.reason)

    def _shut(self, reason: str) -> None:
        self._batch.flush()
        self._transport = None
        self._driver.close()
        self._owner.on_link_closed(self, reason)
        if self._table is not None:
            self._table.leave(self)
