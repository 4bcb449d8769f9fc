"""An edge takes as many calls as it has learned to carry."""

from typing import TYPE_CHECKING, Any

from backhaul.core.ceiling import CeilingState, Window

if TYPE_CHECKING:
    from tests.integration.conftest import MakeBench


def window(calls: int, lag_s: float) -> Window:
    return Window((lag_s,) * 10, frames=500, late=0, calls=calls)


async def test_calls_beyond_what_an_edge_carries_hear_the_script(
    make_bench: "MakeBench",
) -> None:
    bench = await make_bench(target_calls=1, max_calls=10)
    watch, value = bench.edge.ceiling, bench.edge.metrics.registry.get_sample_value
    watch.judge(window(1, 0.001))
    assert watch.ceiling.limit > 1
    for number in (1, 2):
        _, text = await bench.post(form=bench.sids(number))
        assert "<Connect" in text

    watch.judge(window(2, 0.1))
    assert watch.ceiling.state is CeilingState.PRESSED
    _, text = await bench.post(form=bench.sids(3))
    assert "<Connect" not in text
    assert bench.settings.apology in text
    assert len(bench.edge.calls) == 2
    assert value("edge_capacity_calls") == watch.ceiling.limit == 1
    name = "edge_calls_over_ceiling_total"
    assert value(name, {"outcome": "turned_away"}) == 1
    assert not value(name, {"outcome": "given"})


async def test_an_edge_measures_how_late_it_is(
    make_bench: "MakeBench", wait: Any
) -> None:
    bench = await make_bench()
    value = bench.edge.metrics.registry.get_sample_value

    def pressed() -> bool:
        for _ in range(1000):
            bench.edge.lags.add(0.05)
        return value("edge_ceiling_state", {"state": "pressed"}) == 1

    await wait(pressed, within_s=30.0)
    assert value("edge_link_frames_sent_total", {"outcome": "in_time"}) is not None
