"""What an edge tells AWS, and what balancers see when it goes."""

import asyncio
from typing import TYPE_CHECKING, Any

from backhaul.core.cloud_metrics import CloudMetric
from tests.integration.edge.streams import heard, ring, start, stream

if TYPE_CHECKING:
    from tests.integration.conftest import Bench, MakeBench


async def ready(bench: "Bench") -> int:
    url = f"http://127.0.0.1:{bench.edge.admin_port}/readyz"
    async with bench.http.get(url) as response:
        return response.status


async def test_a_call_is_in_the_metrics_once(bench: "Bench") -> None:
    cloud = bench.edge._cloud
    before = cloud.measure()
    assert before[CloudMetric.ACTIVE_CALLS] == [0]
    assert not before[CloudMetric.FIRST_AUDIO]
    url = await ring(bench)
    async with stream(bench, url) as socket:
        await socket.send(start())
        await heard(socket, at_least=160)
        during = cloud.measure()
        after = cloud.measure()
    assert during[CloudMetric.ACTIVE_CALLS] == [1]
    assert during[CloudMetric.CALLS_WITHOUT_VOICE] == [0]
    for metric in (
        CloudMetric.WEBHOOK,
        CloudMetric.LINK_ACQUISITION,
        CloudMetric.FIRST_AUDIO,
    ):
        assert len(during[metric]) == 1, metric
        assert 0 < during[metric][0] < 10
        assert not after[metric]


async def test_callers_without_a_voice_are_counted(make_bench: "MakeBench") -> None:
    bench = await make_bench()
    for agent in bench.agents.values():
        await agent.aclose()
    async with asyncio.timeout(30):
        while any(agent.ready for agent in bench.edge.links.agents.values()):
            await asyncio.sleep(0.01)
    bench.edge._cloud.measure()
    await bench.post()
    await bench.post(form=bench.sids(2))
    measured = bench.edge._cloud.measure()
    assert measured[CloudMetric.CALLS_WITHOUT_VOICE] == [2]


async def test_balancers_hear_of_it_before_callers_do(
    make_bench: "MakeBench", wait: Any
) -> None:
    bench = await make_bench(drain_notice_s=1.0, drain_timeout_s=1.2)
    assert await ready(bench) == 200
    draining = asyncio.ensure_future(bench.edge.drain())  # noqa: TID251 - one task
    await asyncio.sleep(0)
    assert await ready(bench) == 503
    assert "<Connect" in (await bench.post())[1]
    await wait(lambda: bench.edge._desk.draining)
    assert "<Connect" not in (await bench.post(form=bench.sids(2)))[1]
    await draining
