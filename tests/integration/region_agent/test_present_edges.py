"""An agent tells its edges of each other, so that they can hand calls over."""

import asyncio
from collections.abc import Iterable

from backhaul.core.messages import Presence
from tests.integration.region_agent.bench import Bench, EdgeEnd


async def told(
    asker: EdgeEnd, names: Iterable[str], *others: EdgeEnd, within_s: float = 20.0
) -> None:
    """Wait until *asker* is told of exactly *names*; everybody goes on talking."""
    async with asyncio.timeout(within_s):
        while set(asker.present) != set(names):
            for edge in (asker, *others):
                edge.open_link.send(Presence(accepting=True))
            await asyncio.sleep(0.02)


async def test_edges_that_say_they_are_there_are_named_with_their_round_trip(
    bench: Bench,
) -> None:
    one, other = await bench.connect("edge-1"), await bench.connect("edge-2")
    await told(one, ["edge-1", "edge-2"], other)
    assert all(0 < rtt_s < 5 for rtt_s in one.present.values())


async def test_an_edge_that_says_nothing_is_not_named(bench: Bench) -> None:
    one, other = await bench.connect("edge-1"), await bench.connect("edge-2")
    await told(one, ["edge-1"])
    await told(one, ["edge-1", "edge-2"], other)
    await told(one, ["edge-1"])  # the other one has fallen silent


async def test_an_edge_that_drains_is_named_no_more(bench: Bench) -> None:
    one, other = await bench.connect("edge-1"), await bench.connect("edge-2")
    await told(one, ["edge-1", "edge-2"], other)
    other.open_link.send(Presence(accepting=False))
    await told(one, ["edge-1"], within_s=1.4)


async def test_an_edge_that_is_gone_is_named_no_more(bench: Bench) -> None:
    one, other = await bench.connect("edge-1"), await bench.connect("edge-2")
    await told(one, ["edge-1", "edge-2"], other)
    other.open_link.close("edge stops")
    await told(one, ["edge-1"], within_s=1.4)
