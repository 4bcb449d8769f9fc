"""Calls over real processes: scripted ones, and a region that dies in mid-call."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, get_args

import aiohttp
import pytest

from backhaul.transports.base import LinkTransport
from lab.conversation_script import read_script
from lab.fabric import Fabric, FabricOptions
from lab.scripted_call import run_script
from lab.speech_files import caller_lines
from lab.twilio import CallPlan, Turn, TwilioStandIn

CALLS = 3


@asynccontextmanager
async def fabric_and_carrier(
    *, realistic: bool = False
) -> AsyncIterator[tuple[Fabric, TwilioStandIn]]:
    options = FabricOptions(
        regions=2, agents=1, edges=1, warm_sessions=CALLS + 1, realistic=realistic
    )
    async with Fabric(options) as fabric:
        carrier = TwilioStandIn(fabric.account_sid, fabric.auth_token)
        try:
            yield fabric, carrier
        finally:
            await carrier.aclose()


def plan(fabric: Fabric, *turns: Turn) -> CallPlan:
    return CallPlan(
        webhook_url=f"{fabric.public_url(fabric.edges[0])}/twilio/voice",
        from_number=fabric.edges[0].caller,
        to_number=fabric.describe()["numbers"][0],
        steps=turns,
    )


async def ask_edge(fabric: Fabric, path: str) -> dict[str, Any]:
    edge = fabric.describe()["edges"][0]
    headers = {"Authorization": f"Bearer {edge['admin_token']}"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.get(f"{edge['admin_url']}{path}") as response,
    ):
        answer: dict[str, Any] = await response.json()
        return answer


async def bridged_calls(fabric: Fabric) -> int:
    calls = (await ask_edge(fabric, "/api/calls"))["live"]
    return sum(call["state"] == "bridged" for call in calls)


async def transports(fabric: Fabric) -> set[str]:
    """Return what the edge is linked over to its agents."""
    regions = (await ask_edge(fabric, "/api/fabric"))["regions"]
    return {agent["transport"] for region in regions for agent in region["agents"]}


async def sessions_heard(fabric: Fabric) -> list[dict[str, Any]]:
    """Return the model's records of sessions that a caller was heard by."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{fabric.control_url()}/lab/sessions") as response,
    ):
        sessions = (await response.json())["sessions"]
    return [one for one in sessions if one["audio_in"]["bytes"]]


def replies(sessions: list[dict[str, Any]]) -> int:
    return sum(
        response["status"] == "completed"
        for one in sessions
        for response in one["responses"]
    )


@pytest.mark.timeout(180)
async def test_the_next_agent_knows_what_was_said() -> None:
    lines = caller_lines()[:3]
    async with fabric_and_carrier() as (fabric, carrier):
        call = asyncio.gather(
            carrier.place_call(plan(fabric, *(Turn(line.audio) for line in lines)))
        )
        async with asyncio.timeout(60):
            while not replies(await sessions_heard(fabric)):
                await asyncio.sleep(0.05)
        await fabric.kill("us-east-1")
        async with asyncio.timeout(120):
            (report,) = await call
        sessions = await sessions_heard(fabric)
    assert len(report.stream_sids) == 1
    assert report.errors == ()
    assert all(turn.reply_first_audio_ms is not None for turn in report.turns)
    assert len(sessions) == 2
    known = [str(one["items"]) for one in sessions]
    assert any(all(line.text in each for line in lines) for each in known)
    assert not any(one["errors"] for one in sessions)


@pytest.mark.timeout(240)
async def test_the_example_conversations_hold_across_the_wan() -> None:
    examples = Path(__file__).parents[2] / "examples" / "conversations"
    async with fabric_and_carrier(realistic=True) as (fabric, carrier):
        for name in ("question", "interruption"):
            script = await asyncio.to_thread(read_script, examples / f"{name}.toml")
            async with asyncio.timeout(90):
                result = await run_script(
                    script,
                    stand_in=carrier,
                    webhook_url=f"{fabric.public_url(fabric.edges[0])}/twilio/voice",
                    model_control=fabric.control_url(),
                )
            assert result.ok, result.problems


@pytest.mark.timeout(180)
@pytest.mark.parametrize("transport", get_args(LinkTransport))
async def test_a_killed_region_costs_neither_a_call_nor_its_stream(
    transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_LINK_TRANSPORT", transport)
    said = [Turn(line.audio) for line in caller_lines()[:2]]
    async with fabric_and_carrier() as (fabric, carrier):
        # Whatever can carry a call first does, until the preferred one is there.
        async with asyncio.timeout(60):
            while await transports(fabric) != {transport}:
                await asyncio.sleep(0.05)
        calls = asyncio.gather(
            *(carrier.place_call(plan(fabric, *said)) for _ in range(CALLS))
        )
        async with asyncio.timeout(60):
            while await bridged_calls(fabric) < CALLS:
                await asyncio.sleep(0.05)
        await fabric.kill("us-east-1")
        async with asyncio.timeout(120):
            reports = await calls
    for report in reports:
        assert report.answered
        assert report.ended_by == "caller"
        assert len(report.stream_sids) == 1
        assert len(report.turns) == 2
        assert all(turn.reply_first_audio_ms is not None for turn in report.turns)
        assert report.errors == ()
