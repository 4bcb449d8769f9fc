"""Places calls on a fabric, blocks UDP while they are talked on, and says what came.

Runs in a network namespace of its own, since nothing else may lose its UDP. Prints one
line of JSON.
"""

import asyncio
import json
import sys
from typing import Any

import aiohttp
import uvloop

from lab.demo import is_exact
from lab.fabric import Fabric, FabricOptions
from lab.speech_files import caller_lines, greeting_line
from lab.twilio import CallPlan, CallReport, Turn, TwilioStandIn

CALLS = 6
RULES = """
table inet drill {
  chain output {
    type filter hook output priority 0;
    meta l4proto udp drop
  }
}
"""


async def block_udp() -> None:
    """Drop every UDP packet of this namespace from now on."""
    process = await asyncio.create_subprocess_exec(
        "nft", "-f", "-", stdin=asyncio.subprocess.PIPE
    )
    await process.communicate(RULES.encode())
    if process.returncode:
        sys.exit("nft failed")


class Drill:
    """A fabric, and what its edge and its model know."""

    def __init__(self, fabric: Fabric, http: aiohttp.ClientSession) -> None:
        self.fabric = fabric
        self._http = http
        self._edge = fabric.describe()["edges"][0]

    async def ask_edge(self, path: str) -> dict[str, Any]:
        """Return what the edge's admin listener says."""
        headers = {"Authorization": f"Bearer {self._edge['admin_token']}"}
        url = f"{self._edge['admin_url']}{path}"
        async with self._http.get(url, headers=headers) as response:
            answer: dict[str, Any] = await response.json()
            return answer

    async def talking(self) -> int:
        """Return how many calls are bridged."""
        calls = (await self.ask_edge("/api/calls"))["live"]
        return sum(call["state"] == "bridged" for call in calls)

    async def calls_by_transport(self) -> dict[str, int]:
        """Return how many calls each transport carries."""
        found: dict[str, int] = {}
        for link in (await self.ask_edge("/api/links"))["links"]:
            name = link["transport"]
            found[name] = found.get(name, 0) + link["channels"]
        return found

    async def sessions(self) -> list[dict[str, Any]]:
        """Return what the model heard and said."""
        async with self._http.get(f"{self.fabric.control_url()}/lab/sessions") as got:
            sessions: list[dict[str, Any]] = (await got.json())["sessions"]
            return sessions

    async def exact(self, reports: list[CallReport]) -> int:
        """Return of how many calls every byte arrived once, both ways."""
        sessions = {session["id"]: session for session in await self.sessions()}
        known = {
            call["call_sid"]: call
            for call in (await self.ask_edge("/api/calls"))["recent"]
        }
        greeting = greeting_line().audio
        heard_by = {
            report.call_sid: sessions[known[report.call_sid]["session_ids"][-1]]
            for report in reports
        }
        return sum(is_exact(one, heard_by[one.call_sid], greeting) for one in reports)


async def drill() -> dict[str, Any]:
    """Return what became of the calls."""
    options = FabricOptions(
        regions=1, agents=1, edges=1, warm_sessions=CALLS + 1, realistic=True
    )
    async with Fabric(options) as fabric, aiohttp.ClientSession() as http:
        watch = Drill(fabric, http)
        carrier = TwilioStandIn(fabric.account_sid, fabric.auth_token)
        said = [Turn(line.audio) for line in caller_lines()[:3]]
        plan = CallPlan(
            webhook_url=f"{fabric.public_url(fabric.edges[0])}/twilio/voice",
            from_number=fabric.edges[0].caller,
            to_number=fabric.describe()["numbers"][0],
            steps=tuple(said),
        )
        calls = asyncio.gather(*(carrier.place_call(plan) for _ in range(CALLS)))
        async with asyncio.timeout(60):
            while await watch.talking() < CALLS:
                await asyncio.sleep(0.05)
        before = await watch.calls_by_transport()
        await block_udp()
        async with asyncio.timeout(60):
            while (await watch.calls_by_transport()).get("quic", 0):
                await asyncio.sleep(0.05)
        after = await watch.calls_by_transport()
        async with asyncio.timeout(120):
            reports = await calls
        await carrier.aclose()
        return {
            "before": before,
            "after": after,
            "answered": sum(report.answered for report in reports),
            "streams": sorted(len(report.stream_sids) for report in reports),
            "exact": await watch.exact(reports),
        }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(drill())))  # noqa: T201
