"""A region that dies in mid-call, with real processes: the call goes on elsewhere."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from lab.fabric import Fabric, FabricOptions
from lab.speech_files import caller_lines
from lab.twilio import CallPlan, Turn, TwilioStandIn


async def active_calls(fabric: Fabric) -> int:
    edge = fabric.describe()["edges"][0]
    headers = {"Authorization": f"Bearer {edge['admin_token']}"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.get(f"{edge['admin_url']}/api/calls") as response,
    ):
        calls = (await response.json())["live"]
    return sum(call["state"] == "bridged" for call in calls)


@pytest.mark.timeout(180)
async def test_a_killed_region_costs_a_reconnect_and_no_call(tmp_path: Path) -> None:
    options = FabricOptions(
        regions=2, agents=1, edges=1, warm_sessions=4, realistic=False
    )
    async with Fabric(options) as fabric:
        stand_in = TwilioStandIn(fabric.account_sid, fabric.auth_token)
        plan = CallPlan(
            webhook_url=f"{fabric.public_url(fabric.edges[0])}/twilio/voice",
            from_number=fabric.edges[0].caller,
            to_number=fabric.describe()["numbers"][0],
            turns=tuple(Turn(line.audio) for line in caller_lines()[:2]),
        )
        calls = [asyncio.gather(stand_in.place_call(plan)) for _ in range(3)]
        async with asyncio.timeout(60):
            while await active_calls(fabric) < 3:
                await asyncio.sleep(0.05)
        await fabric.kill("us-east-1")
        async with asyncio.timeout(120):
            reports = [(await call)[0] for call in calls]
        await stand_in.aclose()
    for report in reports:
        assert report.answered
        assert report.ended_by == "caller"
        assert len(report.stream_sids) == 2
        assert all(turn.reply_first_audio_ms is not None for turn in report.turns)
        assert len(report.turns) == 2
        assert report.errors == ()
    reports[0].save_wav(tmp_path / "heard.wav")
    assert (tmp_path / "heard.wav").read_bytes()[:4] == b"RIFF"
