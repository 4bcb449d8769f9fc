"""The ways in which `transports.py` carries calls, by name.

Links are dialled and served as edges and agents do it. The baseline has nothing of
ours: one TLS WebSocket of the `websockets` library for each call, a message a frame.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

from backhaul.channel_table import ChannelTables
from backhaul.channels import Channel
from backhaul.core.link import LinkConfig
from backhaul.core.messages import PROTOCOL_VERSION, CloseReason, Hello, Message, Open
from backhaul.credentials import LinkCredentials
from backhaul.errors import LinkConnectError
from backhaul.links import Link
from backhaul.pki import TlsFiles, client_context, server_context
from backhaul.tasks import TaskOwner
from backhaul.transports.base import Connector, LinkTransport
from backhaul.transports.connectors import connector
from backhaul.transports.listener import serve_links
from backhaul.transports.quic_listener import serve_quic
from backhaul.transports.sockets import congestion_control
from edge.core.link_load import PathQuality, good_uses

__all__ = ["BASELINE", "COMPARED", "Carrier", "available", "carrier"]

Send = Callable[[bytes], Awaitable[None] | None]
"""Sends one piece of audio; some have to be awaited."""
Receive = Callable[[bytes], None]
OnCall = Callable[[Send], None]

BASELINE: Final = "websocket-per-call"
_ALL: Final = 100_000


def calls_per_tcp_link(loss_percent: float) -> int:
    """Return how many calls share a link over TCP, as an edge decides it."""
    return good_uses(PathQuality(loss=loss_percent / 100), over_tcp=True)


@dataclass(frozen=True, slots=True)
class _Sharing:
    """A transport, and how many calls share a link at a loss (percent)."""

    transport: LinkTransport
    calls_per_link: Callable[[float], int]


_LINKS: Final[Mapping[str, _Sharing]] = {
    "quic": _Sharing("quic", lambda _: _ALL),
    "http2": _Sharing("http2", calls_per_tcp_link),
    "websocket": _Sharing("websocket", calls_per_tcp_link),
    "http2-shared": _Sharing("http2", lambda _: _ALL),
    "websocket-shared": _Sharing("websocket", lambda _: _ALL),
    "websocket-single": _Sharing("websocket", lambda _: 1),
}
COMPARED: Final = (BASELINE, "quic", "http2", "websocket")
"""What an edge may be told to use, beside the baseline."""

# Many links are opened at once, over a bad path: nobody is given up.
_PATIENT: Final = LinkConfig(hello_timeout_s=60.0, heartbeat_timeout_s=60.0)
_CONNECT_TIMEOUT_S: Final = 60.0
_DIALS: Final = 5
_NO_LIMITS: Final[Mapping[str, Any]] = {
    "compression": None,
    "ping_interval": None,
    "open_timeout": _CONNECT_TIMEOUT_S,
}


class Carrier(Protocol):
    """Both ends of one way to carry calls."""

    async def dial(
        self, address: str, files: TlsFiles, calls: int, receive: Receive
    ) -> list[Send]:
        """Open so many calls to *address*; return how to send on each."""
        ...

    async def serve(
        self, host: str, files: TlsFiles, on_call: OnCall, receive: Receive
    ) -> int:
        """Accept calls; return the port."""
        ...


class _Call:
    """One end of a channel."""

    def __init__(self, receive: Receive) -> None:
        self.on_audio = receive

    def on_message(self, message: Message) -> None:
        """Nobody talks but in audio."""

    def on_channel_closed(self, reason: CloseReason) -> None:
        """Calls end with the bench."""


class _Owner:
    """Keeps one link (`LinkOwner`)."""

    def __init__(
        self, tables: ChannelTables, on_call: OnCall, receive: Receive
    ) -> None:
        self.ready = asyncio.Event()
        self._tables = tables
        self._on_call = on_call
        self._receive = receive

    def link(self, hello: Hello) -> Link:
        """Return a new link, still without a transport."""
        return Link(
            hello=hello,
            config=_PATIENT,
            owner=self,
            check_peer=lambda *_: None,
            tables=self._tables,
        )

    def on_link_ready(self, link: Link) -> None:  # noqa: ARG002
        """The peer said hello; see LinkOwner."""
        self.ready.set()

    def on_link_message(self, link: Link, message: Message) -> None:
        """Nobody talks but in audio; see LinkOwner."""

    def on_channel_opened(self, channel: Channel, message: Open) -> _Call:  # noqa: ARG002
        """A call begins; see LinkOwner."""
        self._on_call(channel.send_audio)
        return _Call(self._receive)

    def on_link_closed(self, link: Link, reason: str) -> None:
        """Links end with the bench; see LinkOwner."""


class _Links:
    """Calls on links of ours."""

    def __init__(self, transport: LinkTransport, calls_per_link: int) -> None:
        self._transport: LinkTransport = transport
        self._calls_per_link = calls_per_link

    async def dial(
        self, address: str, files: TlsFiles, calls: int, receive: Receive
    ) -> list[Send]:
        opens = connector(self._transport, files)
        tables = ChannelTables(grace_s=0)
        async with asyncio.TaskGroup() as group:
            links = [
                group.create_task(_open(opens, address, tables))
                for _ in range(0, calls, self._calls_per_link)
            ]
        sends: list[Send] = []
        for number in range(calls):
            link = links[number // self._calls_per_link].result()
            opening = Open(str(number), f"CA{number}", "bench")
            sends.append(link.open_channel(_Call(receive), opening).send_audio)
        return sends

    async def serve(
        self, host: str, files: TlsFiles, on_call: OnCall, receive: Receive
    ) -> int:
        hello = Hello(PROTOCOL_VERSION, name="home-1", region="home")
        tables = ChannelTables(grace_s=0)

        def accept() -> Link:
            return _Owner(tables, on_call, receive).link(hello)

        if self._transport == "quic":
            credentials = LinkCredentials.load(files)
            return (await serve_quic(accept, host, 0, credentials=credentials)).port
        context = server_context(files)
        server = await serve_links(accept, host, 0, context=context)
        port: int = server.sockets[0].getsockname()[1]
        return port


async def _open(opens: Connector, address: str, tables: ChannelTables) -> Link:
    owner = _Owner(tables, lambda _: None, lambda _: None)
    for again in reversed(range(_DIALS)):
        link = owner.link(Hello(PROTOCOL_VERSION, name="edge-1"))
        try:
            await opens.connect(link, address, timeout_s=_CONNECT_TIMEOUT_S)
            break
        except LinkConnectError:
            # An agent gives a handshake a few seconds; losses can make it longer.
            if not again:
                raise
    async with asyncio.timeout(_CONNECT_TIMEOUT_S):
        await owner.ready.wait()
    return link


class _WebSocketPerCall:
    """The baseline, as a plain bridge between two WebSockets does it."""

    def __init__(self) -> None:
        self._readers = TaskOwner()

    async def dial(
        self, address: str, files: TlsFiles, calls: int, receive: Receive
    ) -> list[Send]:
        context = client_context(files)
        async with asyncio.TaskGroup() as group:
            opening = [
                group.create_task(self._open(address, context, receive))
                for _ in range(calls)
            ]
        return [opened.result() for opened in opening]

    async def _open(
        self, address: str, context: ssl.SSLContext, receive: Receive
    ) -> Send:
        opened = await connect(f"wss://{address}/", ssl=context, **_NO_LIMITS)
        congestion_control(opened.transport.get_extra_info("socket"), "cubic")
        self._readers.spawn(_read(opened, receive), name="call")
        return opened.send

    async def serve(
        self, host: str, files: TlsFiles, on_call: OnCall, receive: Receive
    ) -> int:
        async def answer(accepted: ServerConnection) -> None:
            congestion_control(accepted.transport.get_extra_info("socket"), "cubic")
            on_call(accepted.send)
            await _read(accepted, receive)

        context = server_context(files)
        server = await serve(answer, host, 0, ssl=context, **_NO_LIMITS)
        port: int = next(iter(server.sockets)).getsockname()[1]
        return port


async def _read(
    connection: ClientConnection | ServerConnection, receive: Receive
) -> None:
    async for message in connection:
        if isinstance(message, bytes):
            receive(message)


def available() -> tuple[str, ...]:
    """Return the names of everything that can be measured, the baseline first."""
    return (BASELINE, *_LINKS)


def carrier(name: str, loss_percent: float) -> Carrier:
    """Return the carrier called *name*, for a path that loses so much.

    Raises:
        KeyError: If there is none.
    """
    if name == BASELINE:
        return _WebSocketPerCall()
    sharing = _LINKS[name]
    return _Links(sharing.transport, sharing.calls_per_link(loss_percent))
