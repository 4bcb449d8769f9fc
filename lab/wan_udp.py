"""The UDP half of a route: one far socket for each client address."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final, cast

from backhaul.clock import monotonic_s
from backhaul.tasks import TaskOwner
from backhaul.transports.sockets import udp_socket
from lab.wan_line import DelayLine, Path

__all__ = ["UdpNear"]

_IDLE_S: Final = 60.0
_MAX_EARLY_DATAGRAMS: Final = 64
"""What may wait for the far socket of a new client."""
_BUFFER_BYTES: Final = 4 * 1024 * 1024
_ABSENT_S: Final = 0.1
"""For so long nobody listens here either when nobody listens at the target: what comes
meanwhile, the kernel refuses."""


class UdpFar(asyncio.DatagramProtocol):
    """The far side of one UDP client."""

    def __init__(
        self,
        path: Path,
        to_client: Callable[[bytes], None],
        on_refused: Callable[[], None],
    ) -> None:
        self.used_at = monotonic_s()
        self.transport: asyncio.DatagramTransport | None = None
        self._path = path
        self._on_refused = on_refused
        self._there = DelayLine(path.there, self._send)
        self._back = DelayLine(path.back, to_client)
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)
        early, self._early = self._early, []
        for data in early:
            self._send(data)

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ANN401, ARG002
        self.used_at = monotonic_s()
        if not self._path.back.loses():
            self._back.put(data)

    def error_received(self, exc: Exception) -> None:
        if isinstance(exc, ConnectionRefusedError) and not self._path.back.blocked:
            self._on_refused()

    def from_client(self, data: bytes) -> None:
        self.used_at = monotonic_s()
        if not self._path.there.loses():
            self._there.put(data)

    def close(self) -> None:
        self._there.close()
        self._back.close()
        if self.transport is not None:
            self.transport.close()

    def _send(self, data: bytes) -> None:
        if self._path.there.blocked:
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
        self._loop = asyncio.get_running_loop()
        self._far: dict[Any, UdpFar] = {}
        self._transport: asyncio.DatagramTransport | None = None
        self._is_absent = False

    async def open(self, udp: socket.socket) -> None:
        """Listen on *udp*, which is bound to the path's port."""
        udp.setblocking(False)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        await self._loop.create_datagram_endpoint(lambda: self, sock=udp)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of the socket."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ANN401
        """Put a datagram on its way, through the far socket of its client."""
        far = self._far.get(addr)
        if far is None:
            far = UdpFar(
                self._path, lambda back: self._to_client(back, addr), self._be_absent
            )
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
        if self._transport is not None and not self._path.back.blocked:
            self._transport.sendto(data, addr)

    def _be_absent(self) -> None:
        """Refuse for a moment, one way later: that is how clients hear of it."""
        if not self._is_absent:
            self._is_absent = True
            self._tasks.spawn(self._refuse(), name="wan:refuse")

    async def _refuse(self) -> None:
        await asyncio.sleep(self._path.back.delay_s)
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()
        await asyncio.sleep(_ABSENT_S)
        udp = socket.socket(type=socket.SOCK_DGRAM)
        try:
            udp.bind(("127.0.0.1", self._path.port))
        except OSError:
            udp.close()  # the path is gone for datagrams
        else:
            await self.open(udp)
        self._is_absent = False
