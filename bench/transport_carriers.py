"""The ways in which `transports.py` carries calls, by name.

Links are dialled and served as edges and agents do it. The baseline has nothing of
ours: one TLS WebSocket of the `websockets` library for each call, a message a frame.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

from backhaul.batcher import Batcher
from backhaul.channels import Channel
from backhaul.core.link import LinkConfig
from backhaul.core.messages import PROTOCOL_VERSION, CloseReason, Hello, Message, Open
from backhaul.links import Link
from backhaul.tasks import TaskOwner
from backhaul.transports.http2 import HTTP2_ALPN, connect_http2
from backhaul.transports.listener import serve_links
from backhaul.transports.sockets import congestion_control
from backhaul.transports.websocket import WEBSOCKET_ALPN, connect_websocket

__all__ = ["BASELINE", "Carrier", "available", "carrier"]

Send = Callable[[bytes], Awaitable[None]]
Receive = Callable[[bytes], None]
OnCall = Callable[[Send], None]

BASELINE: Final = "websocket-per-call"
_LINKS: Final[Mapping[str, tuple[str, int | None]]] = {
    "websocket": ("websocket", 6),
    "websocket-single": ("websocket", 1),
    "websocket-shared": ("websocket", None),
    "http2": ("http2", None),
}
"""Transport, and how many calls share a link; None: all of them."""
_CONNECT: Final = {
    "websocket": (connect_websocket, WEBSOCKET_ALPN),
    "http2": (connect_http2, HTTP2_ALPN),
}

# Many links are opened at once, over a bad path: nobody is given up.
_PATIENT: Final = LinkConfig(hello_timeout_s=60.0, heartbeat_timeout_s=60.0)
_CONNECT_TIMEOUT_S: Final = 60.0
_NO_LIMITS: Final[Mapping[str, Any]] = {
    "compression": None,
    "ping_interval": None,
    "open_timeout": _CONNECT_TIMEOUT_S,
}


class Carrier(Protocol):
    """Both ends of one way to carry calls."""

    async def dial(
        self, address: str, context: ssl.SSLContext, calls: int, receive: Receive
    ) -> list[Send]:
        """Open so many calls to *address*; return how to send on each."""
        ...

    async def serve(
        self, host: str, context: ssl.SSLContext, on_call: OnCall, receive: Receive
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


def _sender(channel: Channel) -> Send:
    async def send(audio: bytes) -> None:
        channel.send_audio(audio)

    return send


class _Owner:
    """Keeps one link (`LinkOwner`)."""

    def __init__(self, batcher: Batcher, on_call: OnCall, receive: Receive) -> None:
        self.ready = asyncio.Event()
        self._batcher = batcher
        self._on_call = on_call
        self._receive = receive

    def link(self, hello: Hello) -> Link:
        """Return a new link, still without a transport."""
        return Link(
            hello=hello,
            config=_PATIENT,
            owner=self,
            batcher=self._batcher,
            check_peer=lambda *_: None,
        )

    def on_link_ready(self, link: Link) -> None:  # noqa: ARG002
        """The peer said hello; see LinkOwner."""
        self.ready.set()

    def on_link_message(self, link: Link, message: Message) -> None:
        """Nobody talks but in audio; see LinkOwner."""

    def on_channel_opened(self, channel: Channel, message: Open) -> _Call:  # noqa: ARG002
        """A call begins; see LinkOwner."""
        self._on_call(_sender(channel))
        return _Call(self._receive)

    def on_link_closed(self, link: Link, reason: str) -> None:
        """Links end with the bench; see LinkOwner."""


class _Links:
    """Calls on links of ours."""

    def __init__(self, transport: str, calls_per_link: int | None) -> None:
        self._connect, self._alpn = _CONNECT[transport]
        self._calls_per_link = calls_per_link

    async def dial(
        self, address: str, context: ssl.SSLContext, calls: int, receive: Receive
    ) -> list[Send]:
        per_link, batcher = self._calls_per_link or calls, Batcher()
        context.set_alpn_protocols([self._alpn])
        async with asyncio.TaskGroup() as group:
            links = [
                group.create_task(self._open(batcher, address, context))
                for _ in range(0, calls, per_link)
            ]
        sends: list[Send] = []
        for number in range(calls):
            link = links[number // per_link].result()
            opening = Open(str(number), f"CA{number}", "bench")
            sends.append(_sender(link.open_channel(_Call(receive), opening)))
        return sends

    async def serve(
        self, host: str, context: ssl.SSLContext, on_call: OnCall, receive: Receive
    ) -> int:
        hello = Hello(PROTOCOL_VERSION, name="home-1", region="home")
        batcher = Batcher()
        server = await serve_links(
            lambda: _Owner(batcher, on_call, receive).link(hello),
            host,
            0,
            context=context,
        )
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def _open(
        self, batcher: Batcher, address: str, context: ssl.SSLContext
    ) -> Link:
        owner = _Owner(batcher, lambda _: None, lambda _: None)
        link = owner.link(Hello(PROTOCOL_VERSION, name="edge-1"))
        await self._connect(
            link, address, context=context, timeout_s=_CONNECT_TIMEOUT_S
        )
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            await owner.ready.wait()
        return link


class _WebSocketPerCall:
    """The baseline, as a plain bridge between two WebSockets does it."""

    def __init__(self) -> None:
        self._readers = TaskOwner()

    async def dial(
        self, address: str, context: ssl.SSLContext, calls: int, receive: Receive
    ) -> list[Send]:
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
        self, host: str, context: ssl.SSLContext, on_call: OnCall, receive: Receive
    ) -> int:
        async def answer(accepted: ServerConnection) -> None:
            congestion_control(accepted.transport.get_extra_info("socket"), "cubic")
            on_call(accepted.send)
            await _read(accepted, receive)

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


def carrier(name: str) -> Carrier:
    """Return the carrier called *name*.

    Raises:
        KeyError: If there is none.
    """
    return _WebSocketPerCall() if name == BASELINE else _Links(*_LINKS[name])
