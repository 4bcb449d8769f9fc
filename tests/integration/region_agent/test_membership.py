"""Agents of one region find each other in its store, and edges hear of all of them."""

import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import redis.asyncio as redis
from prometheus_client import CollectorRegistry, generate_latest

from backhaul.core.messages import LeaseGranted, Member
from backhaul.store import AgentRecord, Store, open_store
from lab.realtime import RealtimeLatency
from region_agent.membership import MembershipCollector
from tests.integration.region_agent.bench import (
    WARM,
    Bench,
    EdgeEnd,
    StartBench,
    eventually,
)
from tests.integration.region_agent.test_command import CONFIG, environment
from tests.integration.services import started
from tests.integration.test_store import embedded_pid

FIRST, SECOND = "agent-1.example:7443", "agent-2.example:7443"
QUICK = {"REGION_AGENT_MEMBERS_INTERVAL_S": "0.02", "REGION_AGENT_REGISTER_TTL_S": "1"}


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    store = await open_store(None, timeout_s=5.0)
    yield store
    await store.aclose()


async def started_first(start: StartBench, store: Store, **changes: str) -> Bench:
    given = {"REGION_AGENT_ADVERTISE_ADDRESS": FIRST, **QUICK, **changes}
    bench = await start(
        RealtimeLatency.none(),
        REDIS_URL=store.url,
        REGION_AGENT_AGENT_ID="home-1",
        **given,
    )
    await bench.wait_warm()
    return bench


def named(edge: EdgeEnd) -> dict[str, Member]:
    """Return the latest snapshot, by agent."""
    agents = edge.members[-1].agents if edge.members else ()
    return {member.agent_id: member for member in agents}


async def test_an_edge_hears_of_every_agent_and_what_it_has(
    start: StartBench, store: Store
) -> None:
    first = await started_first(start, store)
    second = await start(
        RealtimeLatency.none(),
        REDIS_URL=store.url,
        REGION_AGENT_AGENT_ID="home-2",
        REGION_AGENT_ADVERTISE_ADDRESS=SECOND,
        REGION_AGENT_DRAIN_TIMEOUT_S="0",
        **QUICK,
    )
    await second.wait_warm()
    edge, other = await first.connect("edge-1"), await second.connect("edge-2")
    expected = {
        "home-1": Member(FIRST, "home-1", WARM, 0),
        "home-2": Member(SECOND, "home-2", WARM, 0),
    }
    await eventually(lambda: named(edge) == named(other) == expected)
    await other.call("1")
    await eventually(lambda: named(edge)["home-2"].active_calls == 1)
    assert named(edge)["home-1"].active_calls == 0
    await second.agent.drain()
    await eventually(lambda: named(edge)["home-2"].draining)
    assert not named(edge)["home-1"].draining


async def test_an_agent_that_is_killed_leaves_when_its_time_is_up(
    start: StartBench, store: Store, tmp_path: Path
) -> None:
    first = await started_first(start, store)
    edge = await first.connect()
    (tmp_path / "hello.ulaw").write_bytes(b"\xff" * 800)
    config = tmp_path / "second.toml"
    config.write_text(CONFIG)
    environ = environment(
        first.model.url,
        REDIS_URL=store.url,
        REGION_AGENT_AGENT_ID="home-2",
        REGION_AGENT_ADVERTISE_ADDRESS=SECOND,
        **QUICK,
    )
    async with started("region_agent", config, environ) as process:
        await eventually(lambda: set(named(edge)) == {"home-1", "home-2"})
        assert named(edge)["home-2"].address == SECOND
        process.send_signal(signal.SIGKILL)
        await eventually(lambda: set(named(edge)) == {"home-1"})


async def test_an_edge_with_many_links_is_told_on_the_newest(
    start: StartBench, store: Store
) -> None:
    first = await started_first(start, store)
    old = await first.connect(instance="one process")
    await eventually(lambda: bool(old.members))
    new = await first.connect(instance="one process")
    other = await first.connect(instance="another process")
    await eventually(lambda: bool(new.members))
    heard, others = len(old.members), len(other.members)
    await eventually(lambda: len(new.members) > 5)
    assert len(old.members) == heard
    await eventually(lambda: len(other.members) > others)
    new.open_link.close("test")
    await eventually(lambda: len(old.members) > heard)


async def test_an_agent_without_an_address_of_its_own_gives_none(
    start: StartBench, store: Store
) -> None:
    first = await started_first(start, store, REGION_AGENT_ADVERTISE_ADDRESS="")
    edge = await first.connect()
    await eventually(lambda: "home-1" in named(edge))
    assert named(edge)["home-1"].address == ""
    (record,) = await store.agents("home")
    assert record.address == f"127.0.0.1:{first.agent.link_port}"


async def test_calls_do_not_notice_that_the_store_hangs_and_comes_back(
    start: StartBench, store: Store
) -> None:
    first = await started_first(start, store)
    edge = await first.connect()
    await eventually(lambda: bool(edge.members))
    counters = first.agent.membership.counters
    pid = embedded_pid(store)
    os.kill(pid, signal.SIGSTOP)
    try:
        await eventually(lambda: counters.withheld > 3)
        pushed, heard = counters.pushed, len(edge.members)
        assert await edge.lease("1") == LeaseGranted("1", warm=True)
        assert (await edge.call("2")).session_id
        withheld = counters.withheld
        await eventually(lambda: counters.withheld > withheld)
        assert counters.pushed == pushed
        assert heard <= len(edge.members) <= pushed
        assert edge.closed is None
    finally:
        os.kill(pid, signal.SIGCONT)
    await eventually(lambda: counters.pushed > pushed)
    await eventually(lambda: named(edge)["home-1"].active_calls == 1)


async def test_calls_do_not_notice_that_the_store_is_gone(start: StartBench) -> None:
    store = await open_store(None, timeout_s=5.0)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(store.aclose)
        first = await started_first(start, store)
        edge = await first.connect()
        await eventually(lambda: bool(edge.members))
    counters = first.agent.membership.counters
    await eventually(lambda: counters.withheld > 3)
    assert (await edge.call("1")).session_id
    assert edge.closed is None


async def test_what_does_not_decode_or_fit_is_passed_over_and_counted(
    start: StartBench, store: Store
) -> None:
    first = await started_first(start, store)
    edge = await first.connect()
    client = cast("Any", redis.Redis).from_url(store.url)
    await client.set("warmline:agent:home:broken", "{")
    await client.sadd("warmline:agents:home", "broken")
    await client.aclose()
    await eventually(lambda: metric(first, "invalid") > 0)
    record = AgentRecord("home-1", "home", "x:1", "", 0.0, "", advertised=True)
    for number in range(300):
        one = msgspec.structs.replace(record, agent_id=f"other-{number}")
        await store.register_agent(one, ttl_s=60.0)
    await eventually(lambda: len(named(edge)) == 256)
    assert "home-1" in named(edge)
    assert "broken" not in named(edge)
    await eventually(lambda: metric(first, "no_room") >= 45)


def metric(bench: Bench, reason: str) -> float:
    registry = CollectorRegistry()
    registry.register(MembershipCollector(bench.agent.membership))
    assert "members_snapshots_total" in generate_latest(registry).decode()
    value = registry.get_sample_value("members_skipped_total", {"reason": reason})
    assert value is not None
    return value
