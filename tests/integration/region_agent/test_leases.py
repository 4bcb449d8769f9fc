"""Leases of an agent over real links: for which call, for how long, and why not."""

import asyncio
from dataclasses import replace

from backhaul.clock import monotonic_s
from backhaul.core.messages import (
    CloseReason,
    LeaseGranted,
    LeaseRefused,
    LeaseRelease,
    Open,
)
from lab.realtime import RealtimeLatency
from tests.integration.region_agent.bench import Bench, StartBench, eventually

WARM_1 = LeaseGranted("1", warm=True)


async def test_another_edge_may_open_the_call(bench: Bench) -> None:
    asking, streaming = await bench.connect("edge-1"), await bench.connect("edge-2")
    assert await asking.lease("1") == WARM_1
    call = await streaming.open(Open("1", "CA1", "patient"))
    assert call.session_id
    assert bench.agent.sessions.capacity.in_use == 1
    assert await asking.refused("1") is CloseReason.LEASE_UNKNOWN


async def test_a_lease_opens_no_other_call(bench: Bench) -> None:
    edge = await bench.connect()
    assert await edge.lease("1", call_sid="CA1", epoch=2) == WARM_1
    assert await edge.refused("1", "CA2", epoch=2) is CloseReason.LEASE_UNKNOWN
    assert await edge.refused("1", "CA1", epoch=3) is CloseReason.LEASE_UNKNOWN
    assert await edge.refused("1", "CA1", epoch=1) is CloseReason.STALE_EPOCH
    assert (await edge.open(Open("1", "CA1", "patient", 2))).session_id


async def test_a_call_that_was_placed_anew_ends_its_earlier_lease(bench: Bench) -> None:
    early, late = await bench.connect("edge-1"), await bench.connect("edge-2")
    assert await early.lease("1", call_sid="CA1") == WARM_1
    assert await late.lease("2", call_sid="CA1", epoch=2) == LeaseGranted("2", True)
    await eventually(lambda: bench.agent.sessions.capacity.in_use == 1)
    assert await early.refused("1") is CloseReason.STALE_EPOCH
    stale = LeaseRefused("3", CloseReason.STALE_EPOCH)
    assert await early.lease("3", call_sid="CA1") == stale
    assert bench.agent.listener.leases.refused == {CloseReason.STALE_EPOCH: 1}


async def test_a_warm_lease_is_refused_at_once_without_stock(start: StartBench) -> None:
    slow = replace(RealtimeLatency.none(), connect_s=(2.0, 2.0))
    bench = await start(slow)
    edge = await bench.connect()
    began_at = monotonic_s()
    assert await edge.lease("1") == LeaseRefused("1", CloseReason.NO_STOCK)
    assert monotonic_s() - began_at < 1.0
    assert await edge.lease("1", cold=True) == LeaseGranted("1", warm=False)


async def test_beyond_the_hard_cap_calls_are_refused(start: StartBench) -> None:
    bench = await start(REGION_AGENT_MAX_CALLS="3", REGION_AGENT_TARGET_CALLS="2")
    await bench.wait_warm()
    edge = await bench.connect()
    await eventually(lambda: bool(edge.stock))
    assert (edge.stock[0].target_calls, edge.stock[0].max_calls) == (1, 2)
    await edge.call("1")
    await edge.call("2")
    for cold in (False, True):
        answer = await edge.lease("3", "greeted", cold=cold)
        assert answer == LeaseRefused("3", CloseReason.AT_CAPACITY)


async def test_an_abandoned_ring_returns_its_session(start: StartBench) -> None:
    bench = await start(REGION_AGENT_LEASE_TTL_S="0.4", REGION_AGENT_LEASE_WAIT_S="0.2")
    await bench.wait_warm()
    edge = await bench.connect()
    assert await edge.lease("1") == WARM_1
    pool = bench.agent.sessions.by_profile["patient"].pool
    await eventually(lambda: pool.counters.leases_expired == 1)
    assert bench.agent.sessions.capacity.in_use == 0
    assert await edge.refused("1") is CloseReason.LEASE_UNKNOWN
    await bench.wait_warm()


async def test_a_released_lease_returns_its_session(bench: Bench) -> None:
    edge = await bench.connect()
    await edge.lease("1")
    edge.open_link.send(LeaseRelease("1"))
    await eventually(lambda: bench.agent.sessions.capacity.in_use == 0)


async def test_a_lease_outlives_its_edge_for_a_moment(bench: Bench) -> None:
    dying, other = await bench.connect("edge-1"), await bench.connect("edge-2")
    await dying.lease("1")
    dying.open_link.close("edge dies")
    await eventually(lambda: bench.agent.listener.link_count == 1)
    assert (await other.open(Open("1", "CA1", "patient"))).session_id


async def test_and_then_its_session_returns(start: StartBench) -> None:
    bench = await start(REGION_AGENT_ORPHAN_GRACE_S="0.2")
    await bench.wait_warm()
    dying, other = await bench.connect("edge-1"), await bench.connect("edge-2")
    await dying.lease("1")
    dying.open_link.close("edge dies")
    await eventually(lambda: bench.agent.sessions.capacity.in_use == 0)
    assert await other.refused("1") is CloseReason.LEASE_UNKNOWN


async def test_an_edge_that_comes_back_in_time_keeps_its_leases(
    start: StartBench,
) -> None:
    bench = await start(REGION_AGENT_ORPHAN_GRACE_S="0.2")
    await bench.wait_warm()
    edge = await bench.connect("edge-1", instance="same")
    await edge.lease("1")
    edge.open_link.close("link dies")
    again = await bench.connect("edge-1", instance="same")
    await asyncio.sleep(0.4)  # longer than it would have been kept otherwise
    assert (await again.open(Open("1", "CA1", "patient"))).session_id


async def test_two_processes_of_one_edge_do_not_share_leases(bench: Bench) -> None:
    old = await bench.connect("edge-1", instance="old")
    new = await bench.connect("edge-1", instance="new")
    # Each process counts its leases from one.
    for edge in (old, new):
        assert await edge.lease("1") == WARM_1
    assert bench.agent.sessions.capacity.in_use == 2
    new.open_link.send(LeaseRelease("1"))
    await eventually(lambda: bench.agent.sessions.capacity.in_use == 1)
    assert (await old.open(Open("1", "CA1", "patient"))).session_id
    assert await new.refused("1") is CloseReason.LEASE_UNKNOWN


async def test_refusals_say_why(start: StartBench) -> None:
    bench = await start(REGION_AGENT_MAX_CALLS="1")
    await bench.wait_warm()
    edge = await bench.connect()
    unknown = await edge.lease("1", "nobody")
    assert unknown == LeaseRefused("1", CloseReason.UNKNOWN_PROFILE)
    assert await edge.lease("2") == LeaseGranted("2", warm=True)
    assert await edge.lease("3") == LeaseRefused("3", CloseReason.AT_CAPACITY)
    assert await edge.refused("99") is CloseReason.LEASE_UNKNOWN


async def test_a_lease_opens_no_call_of_another_profile(bench: Bench) -> None:
    edge = await bench.connect()
    await edge.lease("1", "plain")
    assert await edge.refused("1") is CloseReason.LEASE_UNKNOWN
    assert (await edge.open(Open("1", "CA1", "plain"))).session_id


async def test_stock_tells_how_fast_the_agent_is(bench: Bench) -> None:
    edge = await bench.connect()
    await eventually(lambda: bool(edge.stock))
    for profile in ("greeted", "plain", "patient"):
        assert 0.0 < edge.stock[-1].profiles[profile].open_s < 1.0
    # The greeting was rendered: the model was asked and spoke.
    assert edge.stock[-1].profiles["greeted"].first_audio_s > 0.0
    assert edge.stock[-1].profiles["plain"].first_audio_s == 0.0
    await edge.call("1", "plain")  # the model speaks first
    await eventually(lambda: edge.stock[-1].profiles["plain"].first_audio_s > 0.0)
