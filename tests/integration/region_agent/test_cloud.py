"""What an agent tells AWS."""

from dataclasses import replace

from backhaul.core.cloud_metrics import CloudMetric
from lab.realtime import RealtimeLatency
from tests.integration.region_agent.bench import Bench, StartBench, eventually


async def test_a_call_is_in_the_metrics_once(bench: Bench) -> None:
    cloud = bench.agent._cloud
    await bench.wait_warm()
    mean = bench.agent.sessions.by_profile["plain"].first_audio
    rendered = mean.samples
    cloud.measure()
    edge = await bench.connect()
    await edge.call("1", "plain")
    await eventually(lambda: bench.agent.listener.active_calls == 1)
    await eventually(lambda: mean.samples > rendered)
    during = cloud.measure()
    assert during[CloudMetric.ACTIVE_CALLS] == [1]
    assert during[CloudMetric.SESSION_OPEN_FAILURES] == [0]
    assert len(during[CloudMetric.SESSION_ACQUIRE]) == 1
    assert 0 < during[CloudMetric.SESSION_ACQUIRE][0] < 1
    assert during[CloudMetric.FIRST_AUDIO]
    after = cloud.measure()
    assert not after[CloudMetric.SESSION_ACQUIRE]
    assert not after[CloudMetric.FIRST_AUDIO]


async def test_what_is_not_in_stock_is_counted(start: StartBench) -> None:
    slow = replace(RealtimeLatency.none(), connect_s=(30.0, 30.0))
    bench = await start(slow)
    measured = bench.agent._cloud.measure()
    assert measured[CloudMetric.PROFILES_WITHOUT_STOCK] == [3]


async def test_opens_that_fail_are_counted_once(start: StartBench) -> None:
    bench = await start(REGION_AGENT_REALTIME_URL="ws://127.0.0.1:9/v1/realtime")
    pools = bench.agent.sessions.by_profile.values()
    failures = 0.0
    await eventually(lambda: any(one.pool.counters.failed for one in pools))
    for _ in range(2):
        failures += bench.agent._cloud.measure()[CloudMetric.SESSION_OPEN_FAILURES][0]
    assert failures == sum(one.pool.counters.failed for one in pools)
