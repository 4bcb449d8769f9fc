"""A region agent over a real link: its stock, its leases and its end."""

import asyncio
from dataclasses import replace
from pathlib import Path

from backhaul.clock import monotonic_s
from backhaul.core.messages import (
    CloseReason,
    LeaseGranted,
    LeaseRefused,
    LeaseRelease,
)
from backhaul.links import MAX_BACKLOG_BYTES
from backhaul.pki import Role
from backhaul.store import open_store
from lab.realtime import RealtimeLatency
from lab.realtime_faults import Fault
from tests.integration.region_agent.bench import (
    CONFIG,
    GREETING,
    WARM,
    Bench,
    StartBench,
    eventually,
)


async def test_renders_the_greeting_and_pushes_it_to_every_edge(bench: Bench) -> None:
    early = await bench.connect("edge-1")
    await eventually(lambda: "greeted" in early.greetings)
    late = await bench.connect("edge-2")
    await eventually(lambda: "greeted" in late.greetings)
    for edge in (early, late):
        greeting = edge.greetings["greeted"]
        assert greeting.text == GREETING.text
        assert greeting.audio == GREETING.audio


async def test_any_number_of_long_greetings_reaches_an_edge(
    start: StartBench, tmp_path: Path
) -> None:
    names = [f"profile-{number}" for number in range(60)]
    config = "[regions.home]\nagents = []\n"
    for name in names:
        (tmp_path / f"{name}.ulaw").write_bytes(name.encode().ljust(240_000, b"\xff"))
        config += (
            f'[profiles.{name}]\ninstructions = "Be kind."\nwarm_sessions = 1\n'
            f'greeting = "Hello."\ngreeting_file = "{name}.ulaw"\n'
        )
    bench = await start(config=config)
    edge = await bench.connect()
    await eventually(
        lambda: len(edge.greetings) == len(names) or edge.closed is not None
    )
    assert edge.closed is None
    assert sorted(edge.greetings) == sorted(names)
    assert sum(len(g.audio) for g in edge.greetings.values()) > MAX_BACKLOG_BYTES
    for name, greeting in edge.greetings.items():
        assert greeting.audio.startswith(name.encode())


async def test_stock_is_told_at_once_and_upon_change(bench: Bench) -> None:
    edge = await bench.connect()
    await eventually(lambda: bool(edge.stock))
    assert {name: edge.stock[0].warm(name) for name in WARM} == WARM
    await edge.call("1")
    await eventually(lambda: edge.stock[-1].active_calls == 1)


async def test_a_warm_lease_is_granted_and_stock_refilled(bench: Bench) -> None:
    edge = await bench.connect()
    assert await edge.lease("1") == LeaseGranted("1", warm=True)
    await bench.wait_warm()
    assert len(bench.model.sessions) >= sum(WARM.values()) + 1


async def test_a_cold_lease_waits_for_a_session(start: StartBench) -> None:
    slow = replace(RealtimeLatency.none(), connect_s=(0.3, 0.3))
    bench = await start(slow)
    edge = await bench.connect()
    assert await edge.lease("1", "plain", cold=True) == LeaseGranted("1", warm=False)


async def test_an_expired_session_is_replaced_in_stock(bench: Bench) -> None:
    bench.model.strike(Fault.EXPIRE_NOW, 3)
    pools = bench.agent.sessions.by_profile.values()
    await eventually(lambda: sum(s.pool.counters.closed for s in pools) == 3)
    await bench.wait_warm()


async def test_a_rate_limit_is_waited_out(bench: Bench) -> None:
    bench.model.faults.plan(Fault.RATE_LIMITED, count=1, seconds=2)
    edge = await bench.connect()
    await edge.lease("1", "plain")
    pool = bench.agent.sessions.by_profile["plain"].pool
    await eventually(lambda: pool.counters.failed == 1)
    failed_at = monotonic_s()
    await bench.wait_warm()
    assert monotonic_s() - failed_at > 1.9
    assert bench.model.ledger.refused == {429: 1}


async def test_an_unreachable_endpoint_refuses_leases(start: StartBench) -> None:
    bench = await start(
        config=CONFIG.replace(f'greeting = "{GREETING.text}"', ""),
        REGION_AGENT_LEASE_WAIT_S="0.2",
        REGION_AGENT_REALTIME_URL="ws://127.0.0.1:1/v1/realtime",
    )
    edge = await bench.connect()
    answer = await edge.lease("1", "plain", cold=True)
    assert answer == LeaseRefused("1", CloseReason.MODEL_UNAVAILABLE)
    assert await edge.lease("2", "plain") == LeaseRefused("2", CloseReason.NO_STOCK)


async def test_an_endpoint_that_says_nothing_is_given_up(start: StartBench) -> None:
    bench = await start(REGION_AGENT_REALTIME_OPEN_TIMEOUT_S="0.2")
    await bench.wait_warm()
    bench.model.faults.plan(Fault.SILENT, count=1, seconds=0)
    edge = await bench.connect()
    await edge.lease("1", "plain")
    pool = bench.agent.sessions.by_profile["plain"].pool
    await eventually(lambda: pool.counters.failed == 1)
    await bench.wait_warm()


async def test_a_lost_link_frees_its_calls_and_leases(bench: Bench) -> None:
    edge = await bench.connect()
    call = await edge.call("1")
    await edge.lease("2")
    assert bench.agent.sessions.capacity.in_use == 2
    edge.open_link.close("edge dies")
    await eventually(lambda: bench.agent.sessions.capacity.in_use == 0)
    await eventually(lambda: bench.record(call).state == "closed")
    await bench.wait_warm()


async def test_a_certificate_of_another_role_is_refused(bench: Bench) -> None:
    impostor = await bench.connect("home", Role.REGION_AGENT)
    await eventually(lambda: impostor.closed is not None)
    assert not impostor.greetings
    liar = await bench.connect("edge-1")
    assert liar.closed is None
    await eventually(lambda: bench.agent.listener.link_count == 1)


async def test_drain_lets_calls_end_and_takes_no_new_ones(bench: Bench) -> None:
    edge = await bench.connect()
    await edge.lease("0")
    edge.open_link.send(LeaseRelease("0"))
    call = await edge.call("1")
    draining = asyncio.create_task(bench.agent.drain())  # noqa: TID251
    await eventually(lambda: edge.stock[-1].draining)
    assert await edge.lease("2") == LeaseRefused("2", CloseReason.DRAINED)
    assert call.closed is None
    assert not draining.done()
    assert call.channel is not None
    call.channel.close(CloseReason.CALLER_HUNG_UP)
    async with asyncio.timeout(20):
        await draining


async def test_drain_gives_up_on_calls_that_never_end(start: StartBench) -> None:
    bench = await start(REGION_AGENT_DRAIN_TIMEOUT_S="0.05")
    await bench.wait_warm()
    edge = await bench.connect()
    call = await edge.call("1")
    await bench.agent.drain()
    await eventually(lambda: call.closed is CloseReason.DRAINED)


async def test_an_agent_that_stops_says_so_to_every_call(bench: Bench) -> None:
    edge = await bench.connect()
    calls = [await edge.call("1"), await edge.call("2")]
    await bench.agent.listener.aclose()
    await eventually(lambda: edge.closed is not None)
    assert [call.closed for call in calls] == [CloseReason.DRAINED] * 2


async def test_registers_itself_in_the_region(start: StartBench) -> None:
    store = await open_store(None)
    try:
        bench = await start(REDIS_URL=store.url, REGION_AGENT_AGENT_ID="home-1")
        await eventually(lambda: bench.agent.registration.registered)
        (record,) = await store.agents("home")
        assert record.agent_id == "home-1"
        assert record.address == f"127.0.0.1:{bench.agent.link_port}"
    finally:
        await store.aclose()
