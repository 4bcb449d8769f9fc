"""A wide-area network in one process: relays TCP and UDP with a one-way delay.

Every route listens on one port number for both protocols. Delay is added to bytes, not
to connection set-up: the kernel accepts a TCP connection at once, and the target is
dialled a round trip later instead, when a real handshake would be done. Order, bytes,
half-closes and resets are preserved. A blocked direction loses datagrams and holds TCP,
whose real ends would retransmit. Where nobody listens any more, the kernel says so to
those who send datagrams (ICMP), as it would without a relay.

``python -m lab.wan --routes JSON`` prints its ports as one JSON line when it is ready.
"""

import argparse
import asyncio
import signal
import sys

import msgspec
import orjson
import uvloop

from backhaul.tasks import TaskOwner
from lab.free_port import bind_both
from lab.wan_control import WanControl
from lab.wan_line import Direction, Path, Route
from lab.wan_tcp import TcpEnd, reset
from lab.wan_udp import UdpNear

__all__ = ["Route", "WanRelay", "main"]


class WanRelay:
    """All routes of a WAN."""

    def __init__(self, routes: list[Route]) -> None:
        self._paths = {route.name: Path(route) for route in routes}
        self._tasks = TaskOwner()
        self._servers: list[asyncio.Server] = []
        self._udp: list[UdpNear] = []
        self._ends: set[TcpEnd] = set()

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
        for direction in self.directions(name):
            direction.delay_s = delay_ms / 1000

    def block(self, name: str) -> None:
        """Lose datagrams and hold TCP on a route, both ways, closing nothing."""
        for direction in self.directions(name):
            self.set_blocked(direction, blocked=True)

    def unblock(self, name: str) -> None:
        """Let a route carry again, first of all what TCP was holding."""
        for direction in self.directions(name):
            self.set_blocked(direction, blocked=False)

    def directions(self, name: str) -> tuple[Direction, Direction]:
        """Return both directions of a route; see Adjustable."""
        path = self._paths[name]
        return path.there, path.back

    def set_blocked(self, direction: Direction, *, blocked: bool) -> None:
        """Block one direction, or let it carry again; see Adjustable."""
        direction.blocked = blocked
        if blocked:
            for line in direction.tcp_lines:
                line.hold()
            return
        for end in self._ends:
            if end.other is not None:
                end.start()

    async def listen_for_control(self, port: int) -> int:
        """Take orders on a loopback port, 0 picks one; return the port."""
        server = await asyncio.get_running_loop().create_server(
            lambda: WanControl(self), "127.0.0.1", port
        )
        self._servers.append(server)
        listening: int = server.sockets[0].getsockname()[1]
        return listening

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

    async def _listen(self, path: Path) -> None:
        tcp, udp = bind_both()
        tcp.setblocking(False)
        path.port = tcp.getsockname()[1]
        near = UdpNear(path, self._tasks)
        self._udp.append(near)
        await near.open(udp)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: self._accept(path), sock=tcp)
        self._servers.append(server)

    def _accept(self, path: Path) -> TcpEnd:
        near = TcpEnd(path.there, self._ends.discard)
        self._ends.add(near)
        self._tasks.spawn(self._connect(path, near), name="wan:tcp")
        return near

    async def _connect(self, path: Path, near: TcpEnd) -> None:
        far = TcpEnd(path.back, self._ends.discard)
        far.other = near
        self._ends.add(far)
        route = path.route
        await asyncio.sleep(path.rtt_s)
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: far, route.target_host, route.target_port
            )
        except OSError:
            self._ends.discard(far)
            if near.transport is not None:
                reset(near.transport)
            return
        near.other = far
        near.start()
        far.start()
        if near.transport is not None and not near.transport.is_closing():
            return
        if far.transport is not None:
            far.transport.close()


async def _run(routes: list[Route], control_port: int | None) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    relay = WanRelay(routes)
    await relay.start()
    ready: dict[str, object] = {"ports": relay.ports}
    if control_port is not None:
        ready["control_port"] = await relay.listen_for_control(control_port)
    sys.stdout.write(orjson.dumps(ready).decode() + "\n")
    sys.stdout.flush()
    await stopped.wait()
    await relay.aclose()


def main() -> None:
    """Relay until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m lab.wan")
    parser.add_argument("--routes", required=True, help="JSON list of routes")
    parser.add_argument("--control-port", type=int, help="0 picks one")
    chosen = parser.parse_args()
    routes = msgspec.json.decode(chosen.routes, type=list[Route])
    uvloop.run(_run(routes, chosen.control_port))


if __name__ == "__main__":
    main()
