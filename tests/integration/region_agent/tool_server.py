"""Tool endpoints on hypercorn, a relay that can cut them off, and callers of both."""

import asyncio
import json
import random
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from hypercorn.asyncio import serve
from hypercorn.config import Config
from hypercorn.typing import ASGIFramework

from backhaul.core.profile import Profile
from backhaul.core.tools import Tool
from backhaul.pki import Role, TlsFiles, create_authority, issue
from region_agent.guarded_network import GuardedNetwork
from region_agent.tools import ToolRequest, Tools

HOST = "tools.invalid"
"""A name that no resolver but ours has."""
GIGABYTE = 1024**3

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]


@dataclass
class Seen:
    """One request as the server had it."""

    path: str
    client: int
    version: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class ToolServer:
    """Endpoints that behave, and some that do not; remembers what it executed."""

    seen: list[Seen] = field(default_factory=list)
    executed: Counter[str] = field(default_factory=Counter[str])
    results: dict[str, str] = field(default_factory=dict[str, str])
    hanging: int = 0
    bytes_sent: int = 0
    status: int = 200
    answers: dict[str, tuple[str, bytes]] = field(
        default_factory=dict[str, tuple[str, bytes]]
    )
    """Content type and body by path."""
    cut: Callable[[int], None] | None = None
    """Cuts the connection of a client's port."""
    cut_after: frozenset[str] = frozenset()
    """Numbers whose first execution is followed by a cut."""

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        request = Seen(
            path=scope["path"],
            client=scope["client"][1],
            version=scope["http_version"],
            headers={name.decode(): value.decode() for name, value in scope["headers"]},
            body=json.loads(body),
        )
        self.seen.append(request)
        await self.answer(request, receive, send)

    async def answer(self, request: Seen, receive: Receive, send: Send) -> None:
        match request.path:
            case "/hang":
                self.hanging += 1
                while (await receive())["type"] != "http.disconnect":
                    pass
                self.hanging -= 1
            case "/huge" | "/huge-announced":
                await self.send_gigabyte(request.path, receive, send)
            case "/redirect":
                target = (b"location", b"http://169.254.169.254/latest/meta-data/")
                await respond(send, 302, b"", target)
            case "/count":
                await self.count(request, send)
            case path if path in self.answers:
                kind, answer = self.answers[path]
                await respond(send, self.status, answer, type_header(kind))
            case _:
                answer = json.dumps(request.body).encode()
                await respond(
                    send, self.status, answer, type_header("application/json")
                )

    async def count(self, request: Seen, send: Send) -> None:
        """Execute once per idempotency key, and answer alike ever after."""
        key = request.headers["idempotency-key"]
        first = key not in self.results
        if first:
            self.executed[key] += 1
            self.results[key] = str(len(self.results))
        if first and str(request.body["arguments"]["n"]) in self.cut_after:
            assert self.cut is not None
            self.cut(request.client)
        answer = self.results[key].encode()
        await respond(send, 200, answer, type_header("text/plain"))

    async def send_gigabyte(self, path: str, receive: Receive, send: Send) -> None:
        headers = [type_header("text/plain")]
        if path == "/huge-announced":
            headers.append((b"content-length", str(GIGABYTE).encode()))
        start = {"type": "http.response.start", "status": 200, "headers": headers}
        await send(start)
        piece = bytes(64 * 1024)
        gone = asyncio.ensure_future(receive())  # noqa: TID251 - a test's server
        while self.bytes_sent < GIGABYTE and not gone.done():
            part = {"type": "http.response.body", "body": piece, "more_body": True}
            await send(part)
            self.bytes_sent += len(piece)
        gone.cancel()

    def clients(self) -> set[int]:
        """Return the connections that requests came on."""
        return {request.client for request in self.seen}


def type_header(kind: str) -> tuple[bytes, bytes]:
    return (b"content-type", kind.encode())


async def respond(
    send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]
) -> None:
    given = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": given})
    await send({"type": "http.response.body", "body": body})


@dataclass
class Serving:
    """hypercorn on one port of the loopback, which it keeps when restarted."""

    app: ToolServer
    files: TlsFiles | None = None
    alpn: tuple[str, ...] = ("h2", "http/1.1")
    keep_alive_timeout: float = 30.0
    keep_alive_max_requests: int = 1000
    port: int = 0
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(256)
        self.port = listener.getsockname()[1]
        config = Config()
        config.bind = [f"fd://{listener.detach()}"]
        config.alpn_protocols = [*self.alpn]
        config.keep_alive_timeout = self.keep_alive_timeout
        config.keep_alive_max_requests = self.keep_alive_max_requests
        config.graceful_timeout = 0.0
        config.errorlog = None
        if self.files is not None:
            config.certfile = str(self.files.certificate)
            config.keyfile = str(self.files.key)
        self._stopping.clear()
        app = cast("ASGIFramework", self.app)
        serving = serve(app, config, shutdown_trigger=self._stopping.wait, mode="asgi")
        self._task = asyncio.create_task(serving)  # noqa: TID251 - a test's server

    async def stop(self) -> None:
        self._stopping.set()
        if self._task is not None:
            await self._task


class Relay:
    """Passes bytes to a server, and can cut a connection by the port it comes from."""

    def __init__(self, port: int) -> None:
        self.port = 0
        self.accepted = 0
        self._target = port
        self._server: asyncio.Server | None = None
        self._pairs: dict[int, asyncio.StreamWriter] = {}

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for port in list(self._pairs):
            self.cut(port)
        await self._server.wait_closed()

    def cut(self, port: int) -> None:
        self._pairs[port].transport.abort()

    async def _relay(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.accepted += 1
        onward, server = await asyncio.open_connection("127.0.0.1", self._target)
        port = server.get_extra_info("sockname")[1]
        self._pairs[port] = writer
        await asyncio.gather(pump(reader, server), pump(onward, writer))
        del self._pairs[port]


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.transport.abort()


class Resolver:
    """Knows the names it was told; counts how often it is asked."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> list[str]:  # noqa: ARG002
        self.asked += 1
        return self.addresses


@dataclass
class ToolBench:
    """A server, tools that call it, and the ways to look at both."""

    tools: Tools
    server: ToolServer
    serving: Serving
    resolver: Resolver

    async def call(self, name: str, arguments: str = "{}", call_id: str = "c1") -> Any:
        return await self.tools.call(request(name, arguments, call_id))

    @property
    def pool(self) -> Any:
        (connections,) = self.tools.connections
        return connections.pool

    def ready(self) -> bool:
        stock = self.pool.stock()
        return bool(stock.ready >= 1 and not stock.opening)


def request(name: str, arguments: str = "{}", call_id: str = "c1") -> ToolRequest:
    return ToolRequest(
        profile="desk",
        name=name,
        arguments=arguments,
        call_id=call_id,
        key=f"CA{'1' * 32}-{call_id}",
        call_sid="CA" + "1" * 32,
        caller="+14155550123",
    )


def profile(url: str, names: tuple[str, ...], **changes: Any) -> Profile:
    """Return a profile whose tools are called like the paths they ask."""
    values: dict[str, Any] = {
        "parameters": {"type": "object"},
        "allow_private": True,
        "timeout_s": 20.0,
    }
    values |= changes
    tools = tuple(
        Tool(name=name, description=name, url=f"{url}/{name}", **values)
        for name in names
    )
    return Profile(instructions="Help.", tools=tools)


def authority(directory: Path) -> tuple[TlsFiles, ssl.SSLContext]:
    """Return a certificate for `HOST` and a context that trusts its issuer."""
    create_authority(directory)
    files = issue(directory, Role.EDGE, HOST)
    return files, ssl.create_default_context(cafile=str(files.ca))


def network(
    resolver: Resolver, context: ssl.SSLContext | None = None
) -> GuardedNetwork:
    return GuardedNetwork(
        context=context or ssl.create_default_context(), resolve=resolver
    )


def tools_for(profile: Profile, network: GuardedNetwork, **environ: str) -> Tools:
    return Tools(
        {"desk": profile}, environ=environ, rng=random.Random(7), network=network
    )


NAMES = (
    *("echo", "hang", "count", "plain", "odd"),
    *("huge", "huge-announced", "redirect"),
)
StartTools = Callable[..., Awaitable[ToolBench]]


async def start_bench(
    stack: AsyncExitStack,
    directory: Path,
    *,
    alpn: tuple[str, ...] = ("h2", "http/1.1"),
    relayed: bool = False,
    keep_alive_timeout: float = 30.0,
    keep_alive_max_requests: int = 1000,
    environ: dict[str, str] | None = None,
    **changes: Any,
) -> ToolBench:
    """Return a server and tools, with their first connection open.

    Args:
        stack: Closes what was started.
        directory: Where certificates go.
        alpn: What the server speaks.
        relayed: Put a `Relay` in between that the server can cut.
        keep_alive_timeout: When the server ends an idle connection (s).
        keep_alive_max_requests: When the server ends a busy one.
        environ: Of the tools.
        changes: Of every tool in the profile.
    """
    files, context = authority(directory)
    serving = Serving(
        ToolServer(), files, alpn, keep_alive_timeout, keep_alive_max_requests
    )
    await serving.start()
    stack.push_async_callback(serving.stop)
    port = serving.port
    if relayed:
        relay = Relay(port)
        await relay.start()
        stack.push_async_callback(relay.stop)
        serving.app.cut, port = relay.cut, relay.port
    resolver = Resolver("127.0.0.1")
    desk = profile(f"https://{HOST}:{port}", NAMES, **changes)
    tools = tools_for(desk, network(resolver, context), **(environ or {}))
    bench = ToolBench(tools, serving.app, serving, resolver)
    tools.start()
    stack.push_async_callback(tools.aclose)
    await eventually(bench.ready)
    return bench


async def eventually(condition: Callable[[], bool], *, within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)
