"""Several edges as real processes: one takes the calls of another, and is killed."""

import asyncio
from typing import Any

import aiohttp
import pytest

from lab.fabric import Fabric, FabricOptions
from lab.speech_files import caller_lines
from lab.twilio import CallPlan, Turn, TwilioStandIn

ASHBURN, UMATILLA = 0, 3


def plan(fabric: Fabric, **changes: Any) -> CallPlan:
    """Return a call to the edge in Umatilla; Twilio's nearest Region is in Ashburn."""
    voice = f"{fabric.public_url(fabric.edges[UMATILLA])}/twilio/voice"
    return CallPlan(
        webhook_url=voice,
        fallback_url=voice,
        from_number="+12065550142",
        to_number=fabric.describe()["numbers"][0],
        steps=tuple(Turn(line.audio) for line in caller_lines()[:1]),
        **changes,
    )


async def calls_at(fabric: Fabric, edge: int, kind: str) -> list[dict[str, Any]]:
    found = fabric.describe()["edges"][edge]
    headers = {"Authorization": f"Bearer {found['admin_token']}"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.get(f"{found['admin_url']}/api/calls") as response,
    ):
        calls: list[dict[str, Any]] = (await response.json())[kind]
        return calls


@pytest.mark.timeout(180)
async def test_an_edge_takes_the_calls_of_another_and_they_outlive_it() -> None:
    options = FabricOptions(
        regions=1, agents=1, edges=4, warm_sessions=6, realistic=False
    )
    async with Fabric(options) as fabric:
        carrier = TwilioStandIn(fabric.account_sid, fabric.auth_token)
        call = asyncio.gather(carrier.place_call(plan(fabric)))
        async with asyncio.timeout(60):
            while not await calls_at(fabric, ASHBURN, "live"):
                await asyncio.sleep(0.05)
        (taken,) = await calls_at(fabric, ASHBURN, "live")
        assert taken["caller_state"] == "US-WA"
        assert await calls_at(fabric, UMATILLA, "live") == []
        await fabric.kill(fabric.edges[ASHBURN].name)
        async with asyncio.timeout(120):
            (report,) = await call
        assert report.answered
        assert len(report.stream_sids) == 2
        (rescued,) = await calls_at(fabric, UMATILLA, "recent")
        assert rescued["call_sid"] == report.call_sid
        assert rescued["epoch"] > 2  # whatever the other edge may have asked for
        # Long after its death, nobody is sent there.
        later = await carrier.place_call(plan(fabric))
        assert later.answered
        assert len(later.stream_sids) == 1
        assert later.errors == ()
        await carrier.aclose()
