"""A deploy under calls: every agent is told to stop and is started anew."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import pytest

from lab.fabric import Fabric
from lab.speech_files import caller_lines
from lab.twilio import Turn
from tests.integration.test_calls_on_the_fabric import (
    CALLS,
    ask_edge,
    bridged_calls,
    fabric_and_carrier,
    plan,
    sessions_heard,
)

TURNS = 6


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(90):
        while not await condition():
            await asyncio.sleep(0.1)


async def roll(fabric: Fabric, name: str) -> None:
    """Replace one agent, and wait until the edge may use the new one."""
    assert await fabric.stop(name, grace_s=90.0) == 0
    await fabric.start_again(name)

    async def is_back() -> bool:
        regions = (await ask_edge(fabric, "/api/fabric"))["regions"]
        agents = [agent for region in regions for agent in region["agents"]]
        return all(
            agent["link"] == "ready" and all(agent["warm"].values()) for agent in agents
        )

    await until(is_back)


@pytest.mark.timeout(360)
async def test_a_deploy_of_all_agents_drops_no_call() -> None:
    lines = list(itertools.islice(itertools.cycle(caller_lines()[:3]), TURNS))
    async with fabric_and_carrier() as (fabric, carrier):
        calls = asyncio.gather(
            *(
                carrier.place_call(plan(fabric, *(Turn(one.audio) for one in lines)))
                for _ in range(CALLS)
            )
        )

        async def all_talk() -> bool:
            return await bridged_calls(fabric) == CALLS

        await until(all_talk)
        for region in fabric.regions:
            await roll(fabric, f"{region.name}-1")
        async with asyncio.timeout(180):
            reports = await calls
        ended = (await ask_edge(fabric, "/api/calls"))["recent"]
        sessions = await sessions_heard(fabric)
    for report in reports:
        assert report.ended_by == "caller"
        assert report.errors == ()
        assert len(report.stream_sids) == 1
        assert len(report.turns) == TURNS
        assert all(turn.reply_first_audio_ms is not None for turn in report.turns)
    assert all(one["moves"] for one in ended)
    assert not any(one["errors"] for one in sessions)
    texts = [str(one["items"]) for one in sessions]
    knowing = [text for text in texts if text.count(lines[0].text) >= TURNS // 3]
    assert len(knowing) >= CALLS
