"""Agents keep more sessions when an edge asks for it, also those that start later."""

from collections.abc import AsyncIterator

import pytest

from backhaul.core.messages import Surge
from backhaul.store import Store, open_store
from lab.realtime import RealtimeLatency
from tests.integration.region_agent.bench import WARM, Bench, StartBench, eventually

PROFILE = "patient"


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    store = await open_store(None, timeout_s=5.0)
    yield store
    await store.aclose()


def warm(bench: Bench) -> int:
    return bench.agent.sessions.warm()[PROFILE]


async def test_an_edge_asks_for_more_sessions_for_a_while(
    start: StartBench, store: Store
) -> None:
    first = await start(RealtimeLatency.none(), REDIS_URL=store.url)
    await first.wait_warm()
    edge = await first.connect()
    usual = WARM[PROFILE]
    edge.open_link.send(Surge(2.0, length_s=60.0))
    await eventually(lambda: warm(first) == 2 * usual)
    await eventually(lambda: edge.stock[-1].surge == 2.0)
    assert edge.stock[-1].profiles[PROFILE].target == 2 * usual
    # Who starts later finds it in the region's store.
    second = await start(
        RealtimeLatency.none(), REDIS_URL=store.url, REGION_AGENT_AGENT_ID="home-2"
    )
    await eventually(lambda: warm(second) == 2 * usual)
    assert second.agent.sessions.surge_factor == 2.0


async def test_a_surge_ends(start: StartBench) -> None:
    bench = await start(RealtimeLatency.none())
    await bench.wait_warm()
    edge = await bench.connect()
    edge.open_link.send(Surge(2.0, length_s=1.0))
    await eventually(lambda: bench.agent.sessions.surge_factor == 2.0)
    await eventually(lambda: bench.agent.sessions.surge_factor == 1.0)
    await eventually(lambda: warm(bench) == WARM[PROFILE])


async def test_without_a_store_it_holds_all_the_same(start: StartBench) -> None:
    bench = await start(RealtimeLatency.none())
    await bench.wait_warm()
    edge = await bench.connect()
    edge.open_link.send(Surge(1.5, length_s=60.0))
    await eventually(lambda: bench.agent.sessions.surge_factor == 1.5)
