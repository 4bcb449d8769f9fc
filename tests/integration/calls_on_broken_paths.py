"""Places calls on a fabric, breaks the path to the agent while they are talked on.

Runs in a network namespace of its own, since nothing else may lose its packets. Its
argument names one of `DRILLS`. Prints what became of the calls as one line of JSON.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import uvloop

from lab.demo import is_exact
from lab.fabric import Fabric, FabricOptions
from lab.speech_files import caller_lines, greeting_line
from lab.twilio import CallPlan, CallReport, Turn, TwilioStandIn

CALLS = 6
DEADLINE_S = 60.0
RULES = """
table inet drill
delete table inet drill
table inet drill {
  chain input {
    type filter hook input priority 0
    RULES
  }
}
"""


class Path:
    """The ways between the edge and its only agent, within this namespace."""

    async def open(self) -> None:
        """Let everything pass."""
        await self._load("")

    async def lose(self, *matches: str) -> None:
        """Drop what matches from now on, where it arrives: who sends it cannot know."""
        await self._load("\n".join(f"{match} drop" for match in matches))

    async def reset(self, port: int) -> None:
        """Answer everything on TCP with a reset."""
        matches = (f"tcp dport {port}", f"tcp sport {port}")
        await self._load("\n".join(f"{one} reject with tcp reset" for one in matches))

    async def _load(self, rules: str) -> None:
        process = await asyncio.create_subprocess_exec(
            "nft", "-f", "-", stdin=asyncio.subprocess.PIPE
        )
        await process.communicate(RULES.replace("RULES", rules).encode())
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

    async def all_talk(self) -> bool:
        """Tell whether every call is bridged."""
        return await self.talking() == CALLS

    async def calls_by_transport(self) -> dict[str, int]:
        """Return how many calls each transport carries, if any."""
        found: dict[str, int] = {}
        for link in await self.links():
            if link["channels"]:
                name = link["transport"]
                found[name] = found.get(name, 0) + link["channels"]
        return found

    async def links(self) -> list[dict[str, Any]]:
        """Return every link of the edge."""
        links: list[dict[str, Any]] = (await self.ask_edge("/api/links"))["links"]
        return links

    async def port(self) -> int:
        """Return the port at which the edge dials the agent."""
        (address,) = {link["address"] for link in await self.links()}
        return int(address.rpartition(":")[2])

    async def all_on(self, transport: str) -> None:
        """Wait until every call is on *transport*, and none is gone."""
        await until(lambda: self._is_carried(transport))

    async def _is_carried(self, transport: str) -> bool:
        return await self.calls_by_transport() == {transport: CALLS}

    async def spare(self, transport: str) -> None:
        """Wait until calls could use *transport*, which they do not."""
        await until(lambda: self._is_spare(transport))

    async def _is_spare(self, transport: str) -> bool:
        return any(
            (link["transport"], link["state"]) == (transport, "standby")
            and link["rtt_ms"] is not None
            for link in await self.links()
        )

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


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until a condition holds; fail when it never does."""
    async with asyncio.timeout(DEADLINE_S):
        while not await holds():
            await asyncio.sleep(0.05)


# What is done to the path while calls are talked on, which begin on QUIC if they can.


async def udp_opens(watch: Drill, path: Path) -> None:
    """UDP was blocked before anything began, and opens."""
    await watch.all_on("websocket")
    await path.open()
    await watch.all_on("quic")


async def udp_dies(watch: Drill, path: Path) -> None:
    """All UDP is lost from some moment on."""
    await watch.all_on("quic")
    await path.lose(
        f"udp dport {await watch.port()}", f"udp sport {await watch.port()}"
    )
    await watch.all_on("websocket")


async def _one_way_dies_on_quic(watch: Drill, path: Path, end: str) -> None:
    await watch.all_on("quic")
    await path.lose(f"udp {end} {await watch.port()}")
    await watch.all_on("websocket")


async def agent_hears_no_udp(watch: Drill, path: Path) -> None:
    """What the edge sends over QUIC is lost; what it hears is not."""
    await _one_way_dies_on_quic(watch, path, "dport")


async def edge_hears_no_udp(watch: Drill, path: Path) -> None:
    """What the agent sends over QUIC is lost; what it hears is not."""
    await _one_way_dies_on_quic(watch, path, "sport")


async def _onto_tcp(watch: Drill, path: Path) -> int:
    """Have every call on TCP while QUIC works again; return the agent's port."""
    await udp_dies(watch, path)
    await path.open()
    await watch.spare("quic")
    await watch.all_on("websocket")
    return await watch.port()


async def tcp_dies(watch: Drill, path: Path) -> None:
    """All TCP to the agent is lost, and the calls are on it."""
    port = await _onto_tcp(watch, path)
    await path.lose(f"tcp dport {port}", f"tcp sport {port}")
    await watch.all_on("quic")


async def tcp_is_reset(watch: Drill, path: Path) -> None:
    """Every TCP connection to the agent is reset, and the calls are on one."""
    await path.reset(await _onto_tcp(watch, path))
    await watch.all_on("quic")


async def agent_hears_no_tcp(watch: Drill, path: Path) -> None:
    """What the edge sends over TCP is lost; what it hears is not."""
    await path.lose(f"tcp dport {await _onto_tcp(watch, path)}")
    await watch.all_on("quic")


async def edge_hears_no_tcp(watch: Drill, path: Path) -> None:
    """What the agent sends over TCP is lost; what it hears is not."""
    await path.lose(f"tcp sport {await _onto_tcp(watch, path)}")
    await watch.all_on("quic")


def _named(
    *drills: Callable[[Drill, Path], Awaitable[None]],
) -> dict[str, Callable[[Drill, Path], Awaitable[None]]]:
    return {drill.__name__: drill for drill in drills}


UDP_DRILLS = _named(udp_opens, udp_dies, agent_hears_no_udp, edge_hears_no_udp)
TCP_DRILLS = _named(tcp_dies, tcp_is_reset, agent_hears_no_tcp, edge_hears_no_tcp)
DRILLS = UDP_DRILLS | TCP_DRILLS


async def run(name: str) -> dict[str, Any]:
    """Return what became of the calls."""
    path = Path()
    if name == udp_opens.__name__:
        await path.lose("meta l4proto udp")
    options = FabricOptions(
        regions=1, agents=1, edges=1, warm_sessions=CALLS + 1, realistic=True
    )
    async with Fabric(options) as fabric, aiohttp.ClientSession() as http:
        watch = Drill(fabric, http)
        carrier = TwilioStandIn(fabric.account_sid, fabric.auth_token)
        # Long enough for a slow machine to break and mend the path meanwhile.
        lines = caller_lines()[:3]
        said = [Turn(line.audio) for line in (*lines, *lines)[:5]]
        plan = CallPlan(
            webhook_url=f"{fabric.public_url(fabric.edges[0])}/twilio/voice",
            from_number=fabric.edges[0].caller,
            to_number=fabric.describe()["numbers"][0],
            steps=tuple(said),
        )
        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(carrier.place_call(plan)) for _ in range(CALLS)]
            await until(watch.all_talk)
            await DRILLS[name](watch, path)
            talking = await watch.talking()
        reports = [call.result() for call in calls]
        await carrier.aclose()
        return {
            "talking": talking,
            "answered": sum(report.answered for report in reports),
            "streams": sorted(len(report.stream_sids) for report in reports),
            "exact": await watch.exact(reports),
        }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(sys.argv[1]))))  # noqa: T201
