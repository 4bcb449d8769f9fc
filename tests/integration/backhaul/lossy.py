"""A UDP path between two ends that loses what a test wants it to lose."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

Fate = Callable[[], bool]


def loses(share: float, *, seed: int = 1) -> Fate:
    """Lose datagrams at random, each with the chance *share*."""
    rng = random.Random(seed)
    return lambda: rng.random() < share


class _Side(asyncio.DatagramProtocol):
    def __init__(self, on_datagram: Callable[[bytes, Any], None]) -> None:
        self._on_datagram = on_datagram
        self.udp: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.udp = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._on_datagram(data, addr)


class LossyPath:
    """One path for one client after another; each may come from a new address."""

    def __init__(self, target: tuple[str, int], delay_s: float) -> None:
        self.lose: Fate = lambda: False
        self.lost = 0
        self.carried = 0
        self.address = ""
        self._target = target
        self._delay_s = delay_s
        self._client: Any = None
        self._near = _Side(self._from_client)
        self._far = _Side(self._from_target)
        self._loop = asyncio.get_running_loop()

    async def open(self) -> None:
        await self._loop.create_datagram_endpoint(
            lambda: self._near, local_addr=("127.0.0.1", 0)
        )
        await self.move()
        self.address = f"127.0.0.1:{self._near.udp.get_extra_info('sockname')[1]}"

    async def move(self) -> None:
        """Reach the target from another address from now on."""
        old = getattr(self._far, "udp", None)
        self._far = _Side(self._from_target)
        await self._loop.create_datagram_endpoint(
            lambda: self._far, local_addr=("127.0.0.1", 0)
        )
        if old is not None:
            old.close()

    async def reopen(self, address: str) -> None:
        """Listen again, at *address*, after nobody did."""
        host, _, port = address.rpartition(":")
        await self._loop.create_datagram_endpoint(
            lambda: self._near, local_addr=(host, int(port))
        )

    def shut(self) -> None:
        """Let nobody listen where the client sends to."""
        self._near.udp.close()

    def redirect(self, address: str) -> None:
        """Lead to another target from now on."""
        host, _, port = address.rpartition(":")
        self._target = (host, int(port))

    def close(self) -> None:
        self._near.udp.close()
        self._far.udp.close()

    def _from_client(self, data: bytes, addr: Any) -> None:
        self._client = addr
        self._carry(lambda: self._far.udp.sendto(data, self._target))

    def _from_target(self, data: bytes, addr: Any) -> None:  # noqa: ARG002
        self._carry(lambda: self._near.udp.sendto(data, self._client))

    def _carry(self, deliver: Callable[[], None]) -> None:
        if self.lose():
            self.lost += 1
            return
        self.carried += 1
        if self._delay_s:
            self._loop.call_later(self._delay_s, deliver)
        else:
            deliver()


@contextlib.asynccontextmanager
async def lossy_path(address: str, *, delay_s: float = 0.0) -> AsyncIterator[LossyPath]:
    """Open a path to *address*; nothing is lost on it until a test says so."""
    host, _, port = address.rpartition(":")
    path = LossyPath((host, int(port)), delay_s)
    await path.open()
    try:
        yield path
    finally:
        path.close()
