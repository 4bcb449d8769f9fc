"""An agent takes as many calls as it has learned to carry, and edges know."""

from prometheus_client import CollectorRegistry, generate_latest

from backhaul.core.ceiling import CeilingState, Window
from backhaul.core.messages import CloseReason, LeaseRefused
from tests.integration.region_agent.bench import StartBench, eventually


def window(calls: int, lag_s: float) -> Window:
    return Window((lag_s,) * 10, frames=500, late=0, calls=calls)


async def test_the_ceiling_rises_and_falls_and_is_told(start: StartBench) -> None:
    bench = await start(REGION_AGENT_TARGET_CALLS="2", REGION_AGENT_MAX_CALLS="10")
    await bench.wait_warm()
    edge, watch = await bench.connect(), bench.agent.ceiling
    await eventually(lambda: bool(edge.stock))
    watch.judge(window(2, 0.001))
    await eventually(lambda: any(one.max_calls > 2 for one in edge.stock))
    first = await edge.call("1")
    await edge.call("2")

    watch.judge(window(2, 0.1))
    assert watch.ceiling.state is CeilingState.PRESSED
    await eventually(lambda: edge.stock[-1].max_calls == 2)
    answer = await edge.lease("3", cold=True)
    assert answer == LeaseRefused("3", CloseReason.AT_CAPACITY)
    assert first.closed is None
    assert bench.agent.sessions.capacity.in_use == 2
    assert watch.moves["raised"] >= 1
    assert watch.moves["lowered"] >= 1


async def test_an_agent_measures_how_late_it_is(start: StartBench) -> None:
    bench = await start()
    watch, registry = bench.agent.ceiling, CollectorRegistry()
    registry.register(watch)

    def pressed() -> bool:
        for _ in range(1000):
            bench.agent.lags.add(0.05)
        return watch.ceiling.state is CeilingState.PRESSED

    await eventually(pressed, within_s=30.0)
    metrics = generate_latest(registry).decode()
    assert 'ceiling_state{state="pressed"} 1.0' in metrics
    assert 'link_frames_sent_total{outcome="in_time"}' in metrics
