"""Links over QUIC: what only they can do, and what must not be done to them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aioquic.quic.logger import QuicLogger

from backhaul.clock import monotonic_s
from backhaul.core.link import LinkConfig
from backhaul.core.messages import Clear, CloseReason
from backhaul.errors import LinkConnectError
from backhaul.pki import Role, issue
from backhaul.transports.base import LinkTransport
from tests.integration.backhaul.links import (
    AGENT_HELLO,
    EDGE_HELLO,
    PATIENT,
    Bench,
    End,
    eventually,
    serve,
    serving,
)
from tests.integration.backhaul.lossy import LossyPath, loses, lossy_path


@pytest.fixture
def transport() -> LinkTransport:
    return "quic"


@pytest.fixture
async def path(bench: Bench) -> AsyncIterator[LossyPath]:
    async with lossy_path(bench.address, delay_s=0.01) as path:
        yield path


class Edge:
    """An edge that dials again and again, and the log of its connections."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.log = QuicLogger()
        self.dialer = bench.dialer(log=self.log)

    async def link(
        self, address: str = "", config: LinkConfig = PATIENT
    ) -> tuple[End, End]:
        bench = self.bench
        bench.agent = bench.new(AGENT_HELLO, config)
        edge = bench.new(EDGE_HELLO, config)
        await self.dialer.connect(edge.link, address or bench.address, timeout_s=30.0)
        await eventually(lambda: edge.ready and bench.agent.ready)
        return edge, bench.agent

    def packets(self, kind: str) -> int:
        """Count the packets of one *kind* of the last connection, both ways."""
        events: list[dict[str, Any]] = self.log.to_dict()["traces"][-1]["events"]
        return sum(
            event["data"]["header"]["packet_type"] == kind
            for event in events
            if event["name"] in {"transport:packet_sent", "transport:packet_received"}
        )


async def talk(edge: End, *, calls: int, frames: int) -> None:
    """Open calls and say a numbered frame on each of them every 20 ms."""
    for _ in range(calls):
        edge.open()
    began = monotonic_s()
    for number in range(frames):
        for call in edge.calls:
            call.open_channel.send_audio(number.to_bytes(2) * 80)
        await asyncio.sleep(max(began + number * 0.02 - monotonic_s(), 0))


def heard(end: End) -> list[list[int]]:
    return [[int.from_bytes(f[:2]) for f in call.audio] for call in end.calls]


@pytest.mark.parametrize("share", [0.0, 0.03, 0.1])
async def test_speech_survives_loss_once_and_in_order(
    bench: Bench, path: LossyPath, share: float
) -> None:
    edge, agent = await Edge(bench).link(path.address)
    path.lose = loses(share)
    await talk(edge, calls=10, frames=150)
    await eventually(lambda: len(agent.calls) == 10)
    # The last frame may be lost, and nothing comes behind it that would repeat it.
    await eventually(lambda: all({147, 148, 149} & set(said) for said in heard(agent)))
    for said in heard(agent):
        assert said == sorted(set(said))
    missing = 1500 - sum(map(len, heard(agent)))
    assert path.lost >= share * path.carried / 2
    # How little is missing on a quiet machine is what the bench of transports says.
    assert missing <= 1500 * share + 100
    if share:
        assert agent.tables.counters.frames_doubled > 0


async def test_control_and_speech_of_the_model_survive_loss(
    bench: Bench, path: LossyPath
) -> None:
    edge, agent = await Edge(bench).link(path.address)
    path.lose = loses(0.1)
    calls = [edge.open() for _ in range(5)]
    await eventually(lambda: len(agent.calls) == 5)
    for number in range(40):
        for call in agent.calls:
            call.open_channel.send_audio(bytes([number]) * 4000)
            call.open_channel.send(Clear())
        for call in calls:
            call.open_channel.send(Clear())
        await asyncio.sleep(0.005)
    await eventually(lambda: all(len(call.audio) == 40 for call in calls))
    await eventually(lambda: all(len(call.messages) == 40 for call in calls))
    for call in calls:
        call.open_channel.close(CloseReason.CALLER_HUNG_UP)
    await eventually(lambda: all(call.closed for call in agent.calls))
    wanted = [bytes([number]) * 4000 for number in range(40)]
    assert all(call.audio == wanted for call in calls)
    assert all(call.messages == [Clear()] * 40 for call in [*calls, *agent.calls])


async def test_speech_goes_on_from_another_address(
    bench: Bench, path: LossyPath
) -> None:
    edge, agent = await Edge(bench).link(path.address)
    await talk(edge, calls=1, frames=20)
    await eventually(lambda: heard(agent) == [list(range(20))])
    await path.move()
    for number in range(20, 60):
        edge.calls[0].open_channel.send_audio(number.to_bytes(2) * 80)
        await asyncio.sleep(0.02)
    await eventually(lambda: heard(agent)[0][-1] == 59)
    agent.calls[0].open_channel.send_audio(b"still there")
    await eventually(lambda: edge.calls[0].audio == [b"still there"])


async def test_a_path_that_falls_silent_is_noticed_by_both(
    bench: Bench, path: LossyPath
) -> None:
    config = LinkConfig(
        hello_timeout_s=60.0, heartbeat_interval_s=0.1, heartbeat_timeout_s=0.6
    )
    edge, agent = await Edge(bench).link(path.address, config)
    call = edge.open()
    await eventually(lambda: bool(agent.calls))
    path.lose = lambda: True
    await eventually(lambda: bool(edge.closed and agent.closed))
    assert edge.closed == agent.closed == ["no heartbeat in time"]
    assert call.closed == [CloseReason.LINK_LOST]
    # Whoever gave up leaves nothing behind, though the other end hears nothing of it.
    assert bench.quic is not None
    await eventually(lambda: not bench.quic or not bench.quic.connection_count)


# Retry and early data


async def test_an_unknown_address_proves_itself_and_a_known_one_need_not(
    bench: Bench,
) -> None:
    edge = Edge(bench)
    await edge.link()
    assert edge.packets("retry") == 1
    assert bench.quic is not None
    assert bench.quic.counters.retries_sent == 1
    await edge.link()
    assert edge.packets("retry") == 0
    assert bench.quic.counters.retries_sent == 1


async def test_a_session_is_resumed_with_early_data(bench: Bench) -> None:
    edge = Edge(bench)
    first, agent = await edge.link()
    assert edge.packets("0RTT") == 0
    await eventually(lambda: edge.dialer.resumable(bench.address))
    second, _ = await edge.link()
    assert edge.packets("0RTT") == 1
    assert second.link.peer == first.link.peer
    call = second.open()
    await eventually(lambda: bool(bench.agent.calls))
    bench.agent.calls[0].open_channel.send_audio(b"hello")
    await eventually(lambda: call.audio == [b"hello"])
    assert not agent.closed


async def test_an_agent_that_forgot_the_session_is_linked_to_all_the_same(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, transport="quic") as bench:
        edge = Edge(bench)
        async with lossy_path(bench.address) as path:
            await edge.link(path.address)
            await eventually(lambda: edge.dialer.resumable(path.address))
            again = Bench(tmp_path, "quic")
            close = await serve(again, issue(tmp_path, Role.REGION_AGENT, "home"))
            path.redirect(again.address)
            edge.bench = again
            ours, theirs = await edge.link(path.address)
            # It knows neither the session nor the address: both were for nothing.
            assert edge.packets("retry") == 1
            assert edge.packets("0RTT") >= 1
            ours.open()
            await eventually(lambda: bool(theirs.calls))
            for end in again.ends:
                end.link.close("test ends")
            await close()


async def test_another_agent_than_before_is_not_believed(tmp_path: Path) -> None:
    async with serving(tmp_path, transport="quic") as bench:
        edge = Edge(bench)
        async with lossy_path(bench.address) as path:
            await edge.link(path.address)
            await eventually(lambda: edge.dialer.resumable(path.address))
            again = Bench(tmp_path, "quic")
            close = await serve(again, issue(tmp_path, Role.REGION_AGENT, "other"))
            path.redirect(again.address)
            again.agent = again.new(AGENT_HELLO)
            ours = again.new(EDGE_HELLO)
            with pytest.raises(LinkConnectError, match="another one than before"):
                await edge.dialer.connect(ours.link, path.address, timeout_s=30.0)
            await eventually(lambda: bool(ours.closed))
            assert not ours.ready
            again.agent.link.close("test ends")
            await close()


# Addresses nobody answers at


async def test_nobody_at_home_is_told_in_time(bench: Bench, path: LossyPath) -> None:
    path.lose = lambda: True
    edge = bench.new(EDGE_HELLO)
    dialer = bench.dialer()
    with pytest.raises(LinkConnectError, match=r"no answer within 0\.3 s"):
        await dialer.connect(edge.link, path.address, timeout_s=0.3)
    assert not edge.closed


@pytest.mark.parametrize("garbage", [b"", b"\x00", b"\x40" * 30, b"\xc0" * 1300])
async def test_garbage_is_ignored(bench: Bench, garbage: bytes) -> None:
    loop = asyncio.get_running_loop()
    host, _, port = bench.address.rpartition(":")
    udp, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=(host, int(port))
    )
    udp.sendto(garbage)
    edge, agent = await bench.pair()
    assert edge.ready
    assert agent.ready
    udp.close()
