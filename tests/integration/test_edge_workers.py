"""An edge of several processes: calls reach the one they are at, whoever is asked."""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from console.sources import Source, Sources
from lab.conversation_script import parse_script
from lab.fabric import Fabric, FabricOptions
from lab.fabric_options import example_config
from lab.scripted_call import run_script
from lab.speech_files import caller_lines
from lab.twilio import CallPlan, CallReport, Turn, TwilioStandIn

pytestmark = pytest.mark.timeout(240)

WORKERS = 3
CALLS = 8


TRANSFERS = """
[profiles.front-desk.transfers.sales]
to = "+14155550199"
description = "Somebody from sales."
"""

NOBODY_ANSWERS = """
[call]
dial = { outcome = "busy", after_s = 0.2 }
[[caller]]
say = "caller-connect"
[[caller]]
expect_heard = "transfer-1"
[[caller]]
expect_heard = "sorry-1"
[[caller]]
say = "caller-6"
[[caller]]
expect_heard = "goodbye-1"
[[model]]
speak = "transfer-1"
calls = [{ name = "transfer", arguments = { destination = "sales" } }]
[[model]]
speak = "sorry-1"
[[model]]
speak = "goodbye-1"
"""


@asynccontextmanager
async def fabric_and_carrier(
    config: Path | None = None,
) -> AsyncIterator[tuple[Fabric, TwilioStandIn]]:
    options = FabricOptions(
        regions=1,
        agents=1,
        edges=1,
        warm_sessions=CALLS + 2,
        realistic=False,
        overrides={"edge": {"workers": WORKERS}},
        config=config or example_config(),
    )
    async with Fabric(options) as fabric:
        carrier = TwilioStandIn(fabric.account_sid, fabric.auth_token)
        try:
            yield fabric, carrier
        finally:
            await carrier.aclose()


def plan(fabric: Fabric) -> CallPlan:
    voice = f"{fabric.public_url(fabric.edges[0])}/twilio/voice"
    return CallPlan(
        webhook_url=voice,
        fallback_url=voice,  # asked when a process dies that has just been asked
        from_number=fabric.edges[0].caller,
        to_number=fabric.describe()["numbers"][0],
        steps=tuple(Turn(line.audio) for line in caller_lines()[:1]),
    )


async def call(fabric: Fabric, carrier: TwilioStandIn, count: int) -> list[CallReport]:
    async with asyncio.timeout(120):
        return await asyncio.gather(
            *(carrier.place_call(plan(fabric)) for _ in range(count))
        )


class Admin:
    """The admin listener of the edge."""

    def __init__(self, fabric: Fabric) -> None:
        edge = fabric.describe()["edges"][0]
        self._url = edge["admin_url"]
        self._headers = {"Authorization": f"Bearer {edge['admin_token']}"}

    async def get(self, path: str) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession(headers=self._headers) as http,
            http.get(f"{self._url}{path}") as response,
        ):
            return response.status, await response.text()

    async def samples(self, name: str) -> list[tuple[dict[str, str], float]]:
        text = (await self.get("/metrics"))[1]
        return [
            (sample.labels, sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name
        ]

    async def ended(self) -> Counter[str]:
        """Return how many calls have ended at which worker."""
        samples = await self.samples("edge_calls_ended_total")
        found = Counter[str]()
        for labels, count in samples:
            found[labels["worker"]] += int(count)
        return found

    async def bridged(self) -> list[int]:
        """Return at which worker each live call is that is connected."""
        views = json.loads((await self.get("/api/calls"))[1])["workers"]
        return [
            view["worker"]
            for view in views
            for call in view.get("live", ())
            if call["state"] == "bridged"
        ]

    async def wait_ready(self, *, ready: bool = True) -> None:
        async with asyncio.timeout(60):
            while (await self.get("/readyz"))[0] != (200 if ready else 503):
                await asyncio.sleep(0.02)


def check(report: CallReport) -> None:
    facts: Any = (report.answered, report.ended_by, len(report.stream_sids))
    assert facts == (True, "caller", 1)
    assert report.errors == ()
    assert all(turn.reply_first_audio_ms is not None for turn in report.turns)


async def test_every_call_is_at_one_worker_whoever_is_asked() -> None:
    async with fabric_and_carrier() as (fabric, carrier):
        admin = Admin(fabric)
        await admin.wait_ready()
        for report in await call(fabric, carrier, CALLS):
            check(report)
        passed = await admin.samples("edge_passed_on_total")
        kinds = {(one["what"], one["outcome"]) for one, count in passed if count}
        assert kinds == {("webhook", "passed_on"), ("stream", "passed_on")}
        async with asyncio.timeout(60):
            while sum((await admin.ended()).values()) < CALLS:
                await asyncio.sleep(0.05)
        assert len(await admin.ended()) > 1

        # One that dies is replaced, and its calls go on.
        calling = asyncio.gather(call(fabric, carrier, CALLS))
        async with asyncio.timeout(60):
            while len(await admin.bridged()) < CALLS:
                await asyncio.sleep(0.05)
        at = Counter(await admin.bridged()).most_common(1)[0][0]
        pids = {one["worker"]: pid for one, pid in await admin.samples("worker_pid")}
        os.kill(int(pids[str(at)]), signal.SIGKILL)
        (reports,) = await calling
        for report in reports:
            told = (report.answered, report.ended_by)
            assert told == (True, "caller"), report.errors
        assert {len(report.stream_sids) for report in reports} <= {1, 2}
        assert any(len(report.stream_sids) == 2 for report in reports)
        await admin.wait_ready()
        for report in await call(fabric, carrier, CALLS):
            check(report)
        assert await fabric.stop(fabric.edges[0].name, grace_s=60.0) == 0


async def test_an_edge_that_drains_goes_on_until_the_last_call_of_any_worker() -> None:
    async with fabric_and_carrier() as (fabric, carrier):
        admin = Admin(fabric)
        await admin.wait_ready()
        calling = asyncio.gather(call(fabric, carrier, CALLS))
        async with asyncio.timeout(60):
            while len(await admin.bridged()) < CALLS:
                await asyncio.sleep(0.05)
        assert await fabric.stop(fabric.edges[0].name, grace_s=60.0) == 0
        (reports,) = await calling
        for report in reports:
            check(report)


class Heard:
    """What a console hears; see `SourceListener`."""

    def __init__(self) -> None:
        self.said: dict[str, Any] = {}

    def on_snapshot(self, source: Source, snapshot: bytes) -> None:
        self.said[source.key] = json.loads(snapshot)

    def on_lost(self, source: Source) -> None:
        self.said.pop(source.key, None)


async def test_a_console_and_the_table_of_links_show_every_worker() -> None:
    async with fabric_and_carrier() as (fabric, _):
        admin = Admin(fabric)
        await admin.wait_ready()
        edge = fabric.describe()["edges"][0]
        source = Source("edge", edge["admin_url"], edge["admin_token"])
        heard = Heard()
        sources = Sources(lambda: [source], heard)
        sources.start()
        try:
            async with asyncio.timeout(60):
                while set(heard.said) != {f"edge/{n}" for n in range(WORKERS)}:
                    await asyncio.sleep(0.05)
        finally:
            await sources.aclose()
        assert {said["name"] for said in heard.said.values()} == {edge["name"]}
        views = json.loads((await admin.get("/api/links"))[1])["workers"]
        links = sum(len(view["links"]) for view in views)
        table = await links_table(edge)
        assert f"{edge['name']}: {links} links" in table


async def links_table(edge: dict[str, Any]) -> str:
    """Return what ``warmline links`` prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "lab.cli", "links", "--edge", edge["admin_url"]),
        env={**os.environ, "EDGE_ADMIN_TOKEN": edge["admin_token"]},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return out.decode()


async def test_a_call_that_was_away_comes_back_to_its_worker(tmp_path: Path) -> None:
    config = tmp_path / "warmline.toml"
    config.write_text(example_config().read_text() + TRANSFERS)
    script = parse_script(NOBODY_ANSWERS)
    async with fabric_and_carrier(config) as (fabric, carrier):
        for _ in range(3):  # at whichever worker, and by way of whichever
            async with asyncio.timeout(60):
                result = await run_script(
                    script,
                    stand_in=carrier,
                    webhook_url=f"{fabric.public_url(fabric.edges[0])}/twilio/voice",
                    model_control=fabric.control_url(),
                )
            assert result.ok, result.problems
            assert len(result.sessions) == 1
            assert len(result.call.stream_sids) == 2
