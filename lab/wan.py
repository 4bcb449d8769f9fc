"""A wide-area network in one process: relays TCP and UDP with a one-way delay.

Every route listens on one port number for both protocols. Delay is added to bytes, not
to connection set-up: the kernel accepts a TCP connection at once, and the first bytes
in either direction are late instead. Order and bytes are preserved.

``python -m lab.wan --routes JSON`` prints its ports as one JSON line when it is ready.
"""

import argparse
import asyncio
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import msgspec
import orjson
import uvloop

from backhaul.clock import monotonic_s
from backhaul.tasks import TaskOwner

__all__ = ["Route", "WanRelay", "main"]

_HIGH_WATER_BYTES = 1024 * 1024
"""What one direction of a connection may hold before its sender is paused."""
_UDP_IDLE_S = 60.0
_MAX_EARLY_DATAGRAMS = 64
"""What may wait for the far socket of a new client."""
_UDP_BUFFER_BYTES = 4 * 1024 * 1024


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way through the WAN."""

    name: str
    target_host: str
    target_port: int
    delay_ms: float = 0.0
    listen_port: int = 0
    """0 picks one."""


class _Path:
    """What all connections of one route share: its delay, and whether it is cut."""

    def __init__(self, route: Route) -> None:
        self.route = route
        self.delay_s = route.delay_ms / 1000
        self.blocked = False
        self.port = 0


class _DelayLine:
    """Hands things on after the path's delay, in order, with one timer."""

    def __init__(self, path: _Path, deliver: Callable[[Any], None]) -> None:
        self._path = path
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[float, Any]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def put(self, thing: object) -> None:
        """Take something that is due after the delay."""
        due_at = monotonic_s() + self._path.delay_s
        if self._waiting:
            due_at = max(due_at, self._waiting[-1][0])  # a shorter delay overtakes not
        self._waiting.append((due_at, thing))
        if self._timer is None:
            self._arm()

    def close(self) -> None:
        """Drop what is still on its way."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        wait_s = self._waiting[0][0] - monotonic_s()
        # Timers move in whole milliseconds and fire early: round to the nearest.
        self._timer = self._loop.call_later(max(wait_s, 0.0), self._release)

    def _release(self) -> None:
        self._timer = None
        now = monotonic_s() + 0.0005
        while self._waiting and self._waiting[0][0] <= now:
            self._deliver(self._waiting.popleft()[1])
        if self._waiting and self._timer is None:
            self._arm()


class _TcpEnd(asyncio.Protocol):
    """One end of a relayed connection; what it reads leaves at the other end."""

    def __init__(self, path: _Path, on_lost: Callable[["_TcpEnd"], None]) -> None:
        self.other: _TcpEnd | None = None
        self.transport: asyncio.Transport | None = None
        self._path = path
        self._on_lost = on_lost
        self._line = _DelayLine(path, self._leave)
        self._held_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        tcp = transport.get_extra_info("socket")
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.other is None:
            self.transport.pause_reading()  # until the far end is connected

    def data_received(self, data: bytes) -> None:
        if self._path.blocked:
            return
        self._held_bytes += len(data)
        self._line.put(data)
        self._pace()

    def eof_received(self) -> bool:
        if not self._path.blocked:
            self._line.put(None)
        return True  # half-closed: the other direction goes on

    def connection_lost(self, exc: Exception | None) -> None:
        # A reset overtakes what is on its way, as it does on a real network.
        if self.other is not None and self.other.transport is not None:
            far = self.other.transport
            (far.abort if exc is not None else far.close)()
        self._line.close()
        self._on_lost(self)

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other._pace()  # noqa: SLF001 - its twin

    def _leave(self, data: bytes | None) -> None:
        far = self.other.transport if self.other is not None else None
        if far is None or far.is_closing() or self._path.blocked:
            return
        if data is None:
            far.write_eof()
            return
        self._held_bytes -= len(data)
        far.write(data)
        self._pace()

    def _pace(self) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        far = self.other.transport if self.other is not None else None
        unsent = far.get_write_buffer_size() if far is not None else 0
        if self._held_bytes + unsent > _HIGH_WATER_BYTES:
            self.transport.pause_reading()
        elif far is not None:
            self.transport.resume_reading()


class _UdpFar(asyncio.DatagramProtocol):
    """The far side of one UDP client."""

    def __init__(self, path: _Path, to_client: Callable[[bytes], None]) -> None:
        self.used_at = monotonic_s()
        self.transport: asyncio.DatagramTransport | None = None
        self._path = path
        self._there = _DelayLine(path, self._send)
        self._back = _DelayLine(path, to_client)
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)
        early, self._early = self._early, []
        for data in early:
            self._send(data)

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ANN401, ARG002
        self.used_at = monotonic_s()
        if not self._path.blocked:
            self._back.put(data)

    def from_client(self, data: bytes) -> None:
        self.used_at = monotonic_s()
        if not self._path.blocked:
            self._there.put(data)

    def close(self) -> None:
        self._there.close()
        self._back.close()
        if self.transport is not None:
            self.transport.close()

    def _send(self, data: bytes) -> None:
        if self._path.blocked:
            return
        if self.transport is not None:
            self.transport.sendto(data)
        elif len(self._early) < _MAX_EARLY_DATAGRAMS:
            self._early.append(data)


class _UdpNear(asyncio.DatagramProtocol):
    """The listening side: one far side per client address."""

    def __init__(self, path: _Path, tasks: TaskOwner) -> None:
        self._path = path
        self._tasks = tasks
        self._far: dict[Any, _UdpFar] = {}
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ANN401
        far = self._far.get(addr)
        if far is None:
            far = _UdpFar(self._path, lambda back: self._to_client(back, addr))
            self._far[addr] = far
            self._tasks.spawn(self._serve(addr, far), name="wan:udp")
        far.from_client(data)

    def close(self) -> None:
        for far in self._far.values():
            far.close()
        if self._transport is not None:
            self._transport.close()

    async def _serve(self, addr: Any, far: _UdpFar) -> None:  # noqa: ANN401
        route = self._path.route
        await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: far, remote_addr=(route.target_host, route.target_port)
        )
        idle_s = 0.0
        while idle_s < _UDP_IDLE_S:
            await asyncio.sleep(_UDP_IDLE_S - idle_s)
            idle_s = monotonic_s() - far.used_at
        del self._far[addr]
        far.close()

    def _to_client(self, data: bytes, addr: Any) -> None:  # noqa: ANN401
        if self._transport is not None and not self._path.blocked:
            self._transport.sendto(data, addr)


class WanRelay:
    """All routes of a WAN."""

    def __init__(self, routes: list[Route]) -> None:
        self._paths = {route.name: _Path(route) for route in routes}
        self._tasks = TaskOwner()
        self._servers: list[asyncio.Server] = []
        self._udp: list[_UdpNear] = []
        self._ends: set[_TcpEnd] = set()

    @property
    def ports(self) -> dict[str, int]:
        """The port of every route, by name; once started."""
        return {name: path.port for name, path in self._paths.items()}

    async def start(self) -> None:
        """Listen on every route."""
        for path in self._paths.values():
            await self._listen(path)

    def set_delay(self, name: str, delay_ms: float) -> None:
        """Change the one-way delay of a route (ms)."""
        self._paths[name].delay_s = delay_ms / 1000

    def block(self, name: str) -> None:
        """Swallow everything on a route, both ways, without closing anything."""
        self._paths[name].blocked = True

    def unblock(self, name: str) -> None:
        """Let a route carry again; what was swallowed stays lost."""
        self._paths[name].blocked = False

    async def aclose(self) -> None:
        """Close every listener and connection."""
        for server in self._servers:
            server.close()
        for near in self._udp:
            near.close()
        for end in list(self._ends):
            if end.transport is not None:
                end.transport.abort()
        await self._tasks.aclose()
        await asyncio.sleep(0)  # transports close in the next turn of the loop

    async def _listen(self, path: _Path) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: self._accept(path), "127.0.0.1", path.route.listen_port
        )
        self._servers.append(server)
        path.port = server.sockets[0].getsockname()[1]
        near = _UdpNear(path, self._tasks)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.setblocking(False)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _UDP_BUFFER_BYTES)
        udp.bind(("127.0.0.1", path.port))
        await loop.create_datagram_endpoint(lambda: near, sock=udp)
        self._udp.append(near)

    def _accept(self, path: _Path) -> _TcpEnd:
        near = _TcpEnd(path, self._ends.discard)
        self._ends.add(near)
        self._tasks.spawn(self._connect(path, near), name="wan:tcp")
        return near

    async def _connect(self, path: _Path, near: _TcpEnd) -> None:
        far = _TcpEnd(path, self._ends.discard)
        far.other = near
        self._ends.add(far)
        route = path.route
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: far, route.target_host, route.target_port
            )
        except OSError:
            self._ends.discard(far)
            if near.transport is not None:
                near.transport.abort()
            return
        near.other = far
        if near.transport is not None and not near.transport.is_closing():
            near.transport.resume_reading()
        elif far.transport is not None:
            far.transport.close()


async def _run(routes: list[Route]) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    relay = WanRelay(routes)
    await relay.start()
    sys.stdout.write(orjson.dumps({"ports": relay.ports}).decode() + "\n")
    sys.stdout.flush()
    await stopped.wait()
    await relay.aclose()


def main() -> None:
    """Relay until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m lab.wan")
    parser.add_argument("--routes", required=True, help="JSON list of routes")
    chosen = parser.parse_args()
    routes = msgspec.json.decode(chosen.routes, type=list[Route])
    uvloop.run(_run(routes))


if __name__ == "__main__":
    main()
