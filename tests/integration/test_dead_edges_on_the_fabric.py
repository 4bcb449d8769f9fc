"""An edge is killed under calls: they go on at another one, in the same session."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from backhaul.clock import monotonic_s
from backhaul.store import open_store
from edge.core.survey import RESCUE_LEAP
from lab.fabric import Fabric, FabricOptions
from lab.speech_files import caller_lines
from lab.twilio import CallPlan, Turn, TwilioStandIn
from lab.twilio_report import CallReport

CALLS = 3
FIRST, SECOND = 0, 1


@pytest.fixture
async def fabric() -> AsyncIterator[Fabric]:
    options = FabricOptions(
        regions=1,
        agents=2,
        edges=2,
        warm_sessions=CALLS + 1,
        realistic=False,
        overrides={"edge": {"drain_timeout_s": 60.0, "handover_s": 60.0}},
    )
    async with Fabric(options) as fabric:
        yield fabric


@pytest.fixture
async def carrier(fabric: Fabric) -> AsyncIterator[TwilioStandIn]:
    carrier = TwilioStandIn(fabric.account_sid, fabric.auth_token)
    yield carrier
    await carrier.aclose()


def plan(fabric: Fabric, **changes: Any) -> CallPlan:
    first, second = (
        f"{fabric.public_url(edge)}/twilio/voice" for edge in fabric.edges[:2]
    )
    return CallPlan(
        webhook_url=first,
        fallback_url=second,
        from_number=fabric.edges[FIRST].caller,
        to_number=fabric.describe()["numbers"][0],
        steps=tuple(Turn(line.audio) for line in caller_lines()[:3]),
        **changes,
    )


async def ask(url: str, token: str = "") -> Any:
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.get(url) as response,
    ):
        return await response.json()


async def calls_at(fabric: Fabric, edge: int, kind: str) -> list[dict[str, Any]]:
    found = fabric.describe()["edges"][edge]
    answer = await ask(f"{found['admin_url']}/api/calls", found["admin_token"])
    calls: list[dict[str, Any]] = answer[kind]
    return calls


async def sessions_heard(fabric: Fabric) -> list[dict[str, Any]]:
    """Return the model's records of sessions that a caller was heard by."""
    sessions = (await ask(f"{fabric.control_url()}/lab/sessions"))["sessions"]
    return [one for one in sessions if one["audio_in"]["bytes"]]


async def all_answered_once(fabric: Fabric) -> None:
    """Wait until every caller has had an answer."""
    async with asyncio.timeout(90):
        while True:
            sessions = await sessions_heard(fabric)
            answered = [
                one
                for one in sessions
                if any(each["status"] == "completed" for each in one["responses"])
            ]
            if len(answered) == CALLS:
                return
            await asyncio.sleep(0.05)


async def rescued(fabric: Fabric) -> float:
    """Return how long it took until all calls were at the other edge (s)."""
    began_at = monotonic_s()
    async with asyncio.timeout(60):
        while True:
            live = await calls_at(fabric, SECOND, "live")
            if sum(one["state"] == "bridged" for one in live) == CALLS:
                return monotonic_s() - began_at
            await asyncio.sleep(0.02)


def check(reports: list[CallReport]) -> None:
    for report in reports:
        assert report.answered
        assert report.ended_by == "caller"
        assert len(report.stream_sids) == 2
        assert len(report.turns) == 3
        assert all(turn.reply_first_audio_ms is not None for turn in report.turns)


@pytest.mark.timeout(240)
async def test_calls_outlive_their_edge_in_the_same_session(
    fabric: Fabric, carrier: TwilioStandIn
) -> None:
    calls = asyncio.gather(*(carrier.place_call(plan(fabric)) for _ in range(CALLS)))
    await all_answered_once(fabric)
    assert len(await calls_at(fabric, FIRST, "live")) == CALLS
    await fabric.kill(fabric.edges[FIRST].name)
    took_s = await rescued(fabric)
    async with asyncio.timeout(120):
        reports = await calls
    check(reports)
    sessions = await sessions_heard(fabric)
    assert len(sessions) == CALLS
    assert not any(one["errors"] for one in sessions)
    known = [str(one["items"]) for one in sessions]
    lines = caller_lines()[:3]
    assert all(line.text in each for line in lines for each in known)
    epochs = {one["epoch"] for one in await calls_at(fabric, SECOND, "recent")}
    assert epochs == {1 + RESCUE_LEAP}
    assert took_s < 30.0


@pytest.mark.timeout(240)
async def test_a_call_outlives_both_edge_and_agent(
    fabric: Fabric, carrier: TwilioStandIn
) -> None:
    lines = caller_lines()[:3]
    call = asyncio.gather(carrier.place_call(plan(fabric)))
    region = fabric.regions[0].name
    store = await open_store(fabric.describe()["redis"][region])
    async with asyncio.timeout(90):
        while not (live := await calls_at(fabric, FIRST, "live")):
            await asyncio.sleep(0.05)
        while lines[0].text not in str(await store.call(region, live[0]["call_sid"])):
            await asyncio.sleep(0.1)
    await store.aclose()
    (busy,) = await calls_at(fabric, FIRST, "live")
    agent = await agent_at(fabric, busy["agent"])
    before = {one["id"] for one in await sessions_heard(fabric)}
    for name in (fabric.edges[FIRST].name, agent):
        await fabric.kill(name)
    async with asyncio.timeout(120):
        (report,) = await call
    check([report])
    (later,) = (one for one in await sessions_heard(fabric) if one["id"] not in before)
    # What they said while nobody listened is lost; the rest is not.
    assert lines[0].text in str(later["items"])
    assert lines[-1].text in str(later["items"])
    assert later["errors"] == []


async def agent_at(fabric: Fabric, address: str) -> str:
    """Return the name of the agent that the first edge reaches at *address*."""
    found = fabric.describe()["edges"][FIRST]
    answer = await ask(f"{found['admin_url']}/api/fabric", found["admin_token"])
    agents = (agent for region in answer["regions"] for agent in region["agents"])
    name: str = next(one["id"] for one in agents if one["address"] == address)
    return name


@pytest.mark.timeout(240)
async def test_an_edge_that_is_deployed_drops_no_call(
    fabric: Fabric, carrier: TwilioStandIn
) -> None:
    calls = asyncio.gather(*(carrier.place_call(plan(fabric)) for _ in range(CALLS)))
    await all_answered_once(fabric)
    os.kill(fabric.pid(fabric.edges[FIRST].name), signal.SIGTERM)
    await rescued(fabric)
    async with asyncio.timeout(120):
        reports = await calls
    check(reports)
    assert [report.errors for report in reports] == [()] * CALLS
    sessions = await sessions_heard(fabric)
    assert len(sessions) == CALLS
    lines = caller_lines()[:3]
    known = [str(one["items"]) for one in sessions]
    assert all(line.text in each for line in lines for each in known)


@pytest.mark.timeout(180)
async def test_a_carrier_that_ends_the_call_leaves_nothing_behind(
    fabric: Fabric, carrier: TwilioStandIn
) -> None:
    call = asyncio.gather(
        carrier.place_call(plan(fabric, after_lost_stream="end")),
    )
    async with asyncio.timeout(60):
        while not await calls_at(fabric, FIRST, "live"):
            await asyncio.sleep(0.05)
        while (await calls_at(fabric, FIRST, "live"))[0]["state"] != "bridged":
            await asyncio.sleep(0.05)
    await fabric.kill(fabric.edges[FIRST].name)
    async with asyncio.timeout(60):
        (report,) = await call
    assert report.ended_by == "error"
    assert await calls_at(fabric, SECOND, "live") == []
    # The session waits for a caller for a while, and is given back.
    async with asyncio.timeout(90):
        while await active_calls(fabric):
            await asyncio.sleep(0.2)


async def active_calls(fabric: Fabric) -> int:
    found = fabric.describe()["edges"][SECOND]
    answer = await ask(f"{found['admin_url']}/api/fabric", found["admin_token"])
    return sum(
        agent["active_calls"]
        for region in answer["regions"]
        for agent in region["agents"]
    )
