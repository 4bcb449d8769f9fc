"""The UDP half of a route: one far socket for each client address."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, cast

from backhaul.clock import monotonic_s
from backhaul.tasks import TaskOwner
from backhaul.transports.sockets import udp_socket
from lab.wan_line import DelayLine, Path

__all__ = ["UdpNear"]

_IDLE_S = 60.0
_MAX_EARLY_DATAGRAMS = 64
"""What may wait for the far socket of a new client."""


class UdpFar(asyncio.DatagramProtocol):
    """The far side of one UDP client."""

    def __init__(self, path: Path, to_client: Callable[[bytes], None]) -> None:
        self.used_at = monotonic_s()
        self.transport: asyncio.DatagramTransport | None = None
        self._path = path
        self._there = DelayLine(path, self._send)
        self._back = DelayLine(path, to_client)
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


class UdpNear(asyncio.DatagramProtocol):
    """The listening side: one far side per client address."""

    def __init__(self, path: Path, tasks: TaskOwner) -> None:
        self._path = path
        self._tasks = tasks
        self._far: dict[Any, UdpFar] = {}
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of the socket."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ANN401
        """Put a datagram on its way, through the far socket of its client."""
        far = self._far.get(addr)
        if far is None:
            far = UdpFar(self._path, lambda back: self._to_client(back, addr))
            self._far[addr] = far
            self._tasks.spawn(self._serve(addr, far), name="wan:udp")
        far.from_client(data)

    def close(self) -> None:
        """Close this socket and every far one."""
        for far in self._far.values():
            far.close()
        if self._transport is not None:
            self._transport.close()

    async def _serve(self, addr: Any, far: UdpFar) -> None:  # noqa: ANN401
        route = self._path.route
        await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: far,
            sock=udp_socket(
                socket.AF_INET, peer=(route.target_host, route.target_port)
            ),
        )
        idle_s = 0.0
        while idle_s < _IDLE_S:
            await asyncio.sleep(_IDLE_S - idle_s)
            idle_s = monotonic_s() - far.used_at
        del self._far[addr]
        far.close()

    def _to_client(self, data: bytes, addr: Any) -> None:  # noqa: ANN401
        if self._transport is not None and not self._path.blocked:
            self._transport.sendto(data, addr)
