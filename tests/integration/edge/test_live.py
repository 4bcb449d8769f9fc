"""What those see who look on while an edge works."""

import asyncio
import json
from typing import TYPE_CHECKING, Any

import aiohttp

from backhaul.core.messages import Checkpoint, CloseReason
from tests.integration.conftest import GREETING_AUDIO
from tests.integration.edge.streams import AUDIO, heard, ring, start, stream

if TYPE_CHECKING:
    from tests.integration.conftest import Bench

HEADERS = {"Authorization": "Bearer admin"}


async def ask(bench: "Bench", path: str) -> Any:
    url = f"http://127.0.0.1:{bench.edge.admin_port}{path}"
    async with bench.http.get(url, headers=HEADERS) as answer:
        return await answer.json() if answer.status == 200 else answer.status


async def snapshot(bench: "Bench") -> dict[str, Any]:
    url = f"http://127.0.0.1:{bench.edge.admin_port}/api/live"
    async with asyncio.timeout(30), bench.http.get(url, headers=HEADERS) as stream:
        line = await stream.content.readline()
        said: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
        return said


def rows(said: dict[str, Any], which: str) -> list[dict[str, Any]]:
    calls = said["calls"]
    return [dict(zip(calls["columns"], row, strict=True)) for row in calls[which]]


async def test_a_call_is_seen_from_its_ring_to_its_end(
    bench: "Bench", wait: Any
) -> None:
    async with stream(bench, await ring(bench)) as socket:
        await socket.send(start())
        await wait(lambda: bool(bench.agent.calls))
        bench.agent.calls[0].channel.send_audio(AUDIO)
        await heard(socket, at_least=len(GREETING_AUDIO + AUDIO))
        (row,) = rows(await snapshot(bench), "live")
        assert row["region"] == "home"
        assert (row["state"], row["legs"], row["warm"]) == ("bridged", 1, True)
        assert row["first_audio_ms"] >= 0
        bench.agent.calls[0].channel.send(Checkpoint(1))
        bench.agent.calls[0].channel.close(CloseReason.SESSION_LOST)
        await wait(lambda: len(bench.agent.calls) == 2)
        bench.agent.calls[1].channel.send_audio(AUDIO)
        await heard(socket, at_least=len(AUDIO))
        full = await ask(bench, f"/api/calls/{row['call_sid']}")
        assert full["live"]
        await bench.post("/twilio/status", bench.sids() | {"CallStatus": "completed"})
    await wait(lambda: not len(bench.edge.calls))
    said = await snapshot(bench)
    assert (said["active_calls"], said["max_calls"]) == (0, 100)
    assert rows(said, "live") == []
    (row,) = rows(said, "ended")
    assert (row["end_reason"], row["legs"]) == ("caller_hung_up", 2)
    full = await ask(bench, f"/api/calls/{row['call_sid']}")
    assert {"webhook", "route", "lease", "attach", "failover"} <= {
        step["name"] for step in full["timeline"]
    }
    assert [one["reason"] for one in full["routes"][0]["candidates"]] == ["chosen"]
    assert (full["edge"], full["live"], full["trace_id"]) == ("edge-1", False, "")
    assert await ask(bench, "/api/calls/CA0") == 404
    measured = [row[2] for row in (await ask(bench, "/api/history"))["news"]["samples"]]
    assert {"first_audio", "gap", "link_acquisition"} <= set(measured)


async def test_a_caller_is_never_named(bench: "Bench") -> None:
    await ring(bench)
    said = json.dumps(await snapshot(bench))
    sid = rows(json.loads(said), "live")[0]["call_sid"]
    said += json.dumps(await ask(bench, f"/api/calls/{sid}"))
    assert bench.sids()["From"] not in said


async def test_strangers_see_nothing(bench: "Bench") -> None:
    for path in ("/api/live", "/api/history", "/api/calls/CA1"):
        url = f"http://127.0.0.1:{bench.edge.admin_port}{path}"
        async with aiohttp.request("GET", url) as answer:
            assert answer.status == 401


async def test_who_looks_on_does_not_keep_an_edge_from_ending(bench: "Bench") -> None:
    url = f"http://127.0.0.1:{bench.edge.admin_port}/api/live"
    async with bench.http.get(url, headers=HEADERS) as watched:
        await watched.content.readline()
        async with asyncio.timeout(30):
            await bench.edge.stop()
            while await watched.content.readline():
                pass
