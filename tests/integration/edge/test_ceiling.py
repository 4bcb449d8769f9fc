"""An edge takes as many calls as it has learned to carry."""

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.integration.conftest import MakeBench


async def test_calls_beyond_what_an_edge_carries_hear_the_script(
    make_bench: "MakeBench",
) -> None:
    bench = await make_bench(max_calls=2)
    value = bench.edge.metrics.registry.get_sample_value
    answers = await asyncio.gather(
        *(bench.post(form=bench.sids(number)) for number in range(1, 6))
    )
    texts = [text for _, text in answers]
    assert sum("<Connect" in text for text in texts) == 2
    assert sum(bench.settings.apology in text for text in texts) == 3
    assert len(bench.edge.calls) == 2
    assert value("edge_capacity_calls") == 2
    name = "edge_calls_over_ceiling_total"
    assert value(name, {"outcome": "no_room"}) == 3
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
