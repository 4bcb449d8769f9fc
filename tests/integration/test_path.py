"""Kernel TCP and UDP really cross an emulated path, and nothing of it is left."""

import asyncio
import os
import signal
import socket
import statistics
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import cast

import pytest

from backhaul.child import start_child
from backhaul.clock import monotonic_s
from backhaul.transports.sockets import congestion_control
from lab.path import NetworkPath, PathUnavailableError, Side
from lab.path_namespaces import NAMESPACES
from tests.integration.judges import emulated_paths_possible, installed

Wait = Callable[[Callable[[], bool]], Awaitable[None]]

PORT = 5000
PATIENCE_S = 30.0
KNOWN = Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text("ascii")
FIREWALL = (
    "add table inet test",
    "add chain inet test in { type filter hook input priority 0; }",
    "add rule inet test in meta l4proto udp drop",
)

UNPRIVILEGED = """
import asyncio, os
from lab.path import NetworkPath, PathUnavailableError
os.seteuid(65534)
async def main():
    try:
        async with NetworkPath():
            print("made")
    except PathUnavailableError as exc:
        print(exc)
asyncio.run(main())
"""

OWNER = """
import asyncio, sys
from lab.path import NetworkPath
async def main():
    async with NetworkPath() as path:
        sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
        child = await path.run_in("a", sleep)
        print(child.pid, *path.namespaces.values(), flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def _possible() -> None:
    emulated_paths_possible()


@pytest.fixture
async def path() -> AsyncIterator[NetworkPath]:
    async with NetworkPath(seed=1, delay_ms=20) as made:
        yield made


class Udp:
    """A UDP socket at each end."""

    def __init__(self, path: NetworkPath) -> None:
        self.path = path
        self.loop = asyncio.get_running_loop()
        self.sockets: dict[Side, socket.socket] = {}
        for side in ("a", "b"):
            made = path.socket_in(side, socket.SOCK_DGRAM)
            made.bind((path.addresses[side], PORT))
            self.sockets[side] = made

    async def send(self, sender: Side, data: bytes) -> None:
        to = (self.path.addresses["b" if sender == "a" else "a"], PORT)
        await self.loop.sock_sendto(self.sockets[sender], data, to)

    async def receive(self, side: Side) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return await self.loop.sock_recv(self.sockets[side], 2048)

    def close(self) -> None:
        for made in self.sockets.values():
            made.close()


@pytest.fixture
async def udp(path: NetworkPath) -> AsyncIterator[Udp]:
    ends = Udp(path)
    yield ends
    ends.close()


class Echo(asyncio.Protocol):
    """Sends back what it gets."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.opened.set()

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.closed.set()


@pytest.fixture
async def tcp(
    path: NetworkPath,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    listener = path.socket_in("b", socket.SOCK_STREAM)
    listener.bind((path.addresses["b"], PORT))
    echo = Echo()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: echo, sock=listener)
    client = path.socket_in("a", socket.SOCK_STREAM)
    async with asyncio.timeout(PATIENCE_S):
        await loop.sock_connect(client, (path.addresses["b"], PORT))
        await echo.opened.wait()
    reader, writer = await asyncio.open_connection(sock=client)
    yield reader, writer
    writer.transport.abort()
    echo.transport.abort()
    await echo.closed.wait()
    server.close()


def left_over(names: list[str]) -> list[str]:
    return [name for name in names if (NAMESPACES / name).exists()]


def is_gone(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    try:
        return "\nState:\tZ" in status.read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return True


async def test_a_datagram_takes_the_delay_each_way(udp: Udp) -> None:
    started = monotonic_s()
    await udp.send("a", b"question")
    assert await udp.receive("b") == b"question"
    assert monotonic_s() - started >= 0.02
    await udp.send("b", b"answer")
    assert await udp.receive("a") == b"answer"
    assert monotonic_s() - started >= 0.04


async def test_tcp_crosses_with_losses(
    path: NetworkPath, tcp: tuple[asyncio.StreamReader, asyncio.StreamWriter]
) -> None:
    reader, writer = tcp
    await path.set(delay_ms=5, loss=0.05)
    data = os.urandom(200_000)
    writer.write(data)
    async with asyncio.timeout(PATIENCE_S):
        assert await reader.readexactly(len(data)) == data
    lines = (await path.report()).lines
    assert lines["a"].lost > 0
    assert all(line.overflowed == line.refused == 0 for line in lines.values())


async def test_one_way_can_be_lost_while_the_other_carries(
    path: NetworkPath, udp: Udp
) -> None:
    await path.set(towards="b", loss=1.0)
    await udp.send("a", b"lost")
    await udp.send("b", b"heard")
    assert await udp.receive("a") == b"heard"
    assert (await path.report()).lines["a"].lost == 1
    await path.set(towards="b", loss=0)
    await udp.send("a", b"back")
    assert await udp.receive("b") == b"back"


async def test_udp_can_be_blocked_while_tcp_carries(
    path: NetworkPath,
    udp: Udp,
    tcp: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    reader, writer = tcp
    await path.set(block_udp=True)
    await udp.send("a", b"blocked")
    writer.write(b"carried")
    async with asyncio.timeout(PATIENCE_S):
        assert await reader.readexactly(7) == b"carried"
    assert (await path.report()).lines["a"].blocked == 1
    await path.set(block_udp=False)
    await udp.send("a", b"open again")
    assert await udp.receive("b") == b"open again"


async def test_a_firewall_at_one_end_blocks_udp_like_a_real_one(
    path: NetworkPath,
    udp: Udp,
    tcp: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    reader, writer = tcp
    nft = installed("nft", package="nftables")
    for rule in FIREWALL:
        process = await path.run_in("b", [nft, rule])
        assert await process.wait() == 0, rule
    await udp.send("a", b"blocked")
    writer.write(b"carried")
    async with asyncio.timeout(PATIENCE_S):
        assert await reader.readexactly(7) == b"carried"
    process = await path.run_in("b", [nft, "flush ruleset"])
    assert await process.wait() == 0
    await udp.send("a", b"open again")
    assert await udp.receive("b") == b"open again"


async def test_tcp_can_be_blocked_while_udp_carries_and_goes_on_later(
    path: NetworkPath,
    udp: Udp,
    tcp: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    reader, writer = tcp
    await path.set(block_tcp=True)
    writer.write(b"late")
    await udp.send("a", b"carried")
    assert await udp.receive("b") == b"carried"
    assert (await path.report()).lines["a"].blocked >= 1
    await path.set(block_tcp=False)
    async with asyncio.timeout(PATIENCE_S):
        assert await reader.readexactly(4) == b"late"


async def test_the_slowest_hop_makes_what_follows_wait(
    path: NetworkPath, udp: Udp
) -> None:
    await path.set(delay_ms=0, rate_bits_per_s=400_000)
    started = monotonic_s()
    for _ in range(10):
        await udp.send("a", bytes(972))  # 1,000 bytes with its headers
    for _ in range(10):
        await udp.receive("b")
    assert monotonic_s() - started >= 0.2


async def test_the_delay_is_kept_under_load(path: NetworkPath, udp: Udp) -> None:
    await path.set(delay_ms=40)
    delays_ms: list[float] = []

    async def receive() -> None:
        for _ in range(2000):
            data = await udp.receive("b")
            delays_ms.append((monotonic_s() - struct.unpack("d", data)[0]) * 1000)

    async with asyncio.TaskGroup() as group:
        group.create_task(receive())
        for _ in range(200):
            for _ in range(10):
                await udp.send("a", struct.pack("d", monotonic_s()))
            await asyncio.sleep(0.005)
    assert min(delays_ms) >= 40.0
    # Others keep this machine busy too; a bench says how exact a path is.
    assert statistics.median(delays_ms) < 45.0


async def test_two_paths_know_nothing_of_each_other(path: NetworkPath) -> None:
    async with NetworkPath(loss=1.0) as other:
        ends, others = Udp(path), Udp(other)
        await others.send("a", b"other")
        await ends.send("a", b"mine")
        assert await ends.receive("b") == b"mine"
        assert (await other.report()).lines["a"].lost == 1
        ends.close()
        others.close()


async def test_a_process_runs_at_one_end(path: NetworkPath) -> None:
    program = "import socket; print([name for _, name in socket.if_nameindex()])"
    process = await path.run_in(
        "b", [sys.executable, "-c", program], stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert b"path0" in out
    assert b"eth0" not in out


async def test_nothing_is_left_of_a_path() -> None:
    async with NetworkPath() as path:
        names = list(path.namespaces.values())
        sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
        child = await path.run_in("a", sleep)
        assert left_over(names) == names
    assert left_over(names) == []
    assert child.returncode is not None
    with pytest.raises(PathUnavailableError):
        await path.set(loss=0.5)


async def test_nothing_is_left_when_the_owner_is_killed(wait: Wait) -> None:
    owner = await start_child(
        [sys.executable, "-c", OWNER], stdout=asyncio.subprocess.PIPE
    )
    assert owner.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        child_pid, *names = (await owner.stdout.readline()).decode().split()
    assert left_over(names) == names
    owner.kill()
    await owner.wait()
    await wait(lambda: is_gone(int(child_pid)) and not left_over(names))


async def test_what_a_killed_relay_leaves_is_removed_by_the_next(
    wait: Wait,
) -> None:
    async with NetworkPath() as broken:
        names = list(broken.namespaces.values())
        os.kill(broken.relay_pid, signal.SIGKILL)
        await wait(lambda: is_gone(broken.relay_pid))
        with pytest.raises(PathUnavailableError):
            await broken.report()
    assert left_over(names) == names
    async with NetworkPath():
        assert left_over(names) == []


async def test_without_root_it_says_so_in_one_line() -> None:
    process = await start_child(
        [sys.executable, "-c", UNPRIVILEGED], stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert out.decode().splitlines() == [
        "no network path can be emulated: it needs root, for network namespaces"
    ]


async def test_a_value_out_of_range_changes_nothing(path: NetworkPath) -> None:
    with pytest.raises(ValueError, match="loss"):
        await path.set(loss=2)
    with pytest.raises(ValueError, match="colour"):
        NetworkPath(colour=1)


async def test_a_socket_at_an_end_uses_the_congestion_control_asked_for(
    path: NetworkPath,
) -> None:
    assert "reno" in KNOWN.split()
    for wanted in KNOWN.split():
        with path.socket_in("a", socket.SOCK_STREAM) as made:
            assert congestion_control(made, wanted) == wanted
