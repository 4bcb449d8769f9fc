"""What it takes to get a link for a call, and how soon a killed link is back.

Three regions with two agents each, in a process of their own, and the links of one edge
to them over loopback. Some calls stand on every agent; then calls come and go, one
after the other, each at the next agent: "acquire" is from asking for a link until it is
there, "release" from giving it back until that is noted; the channel is in neither.
"Back" is from the moment an agent listens again until a link to it is ready.

Then, in a network namespace of its own (which needs root and nft), every packet to and
from all agents is lost for some seconds: "back from a black hole" is from the moment
packets pass again until a link is ready, for each agent and transport.

``--json`` prints one object.
"""

import argparse
import asyncio
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import structlog
import uvloop

from backhaul.channel_table import ChannelTables
from backhaul.channels import Channel, ChannelHandler
from backhaul.clock import monotonic_s
from backhaul.core.link import LinkConfig
from backhaul.core.messages import PROTOCOL_VERSION, CloseReason, Hello, Message, Open
from backhaul.credentials import LinkCredentials
from backhaul.links import Link
from backhaul.pki import Role, TlsFiles, create_authority, issue, server_context
from backhaul.settings import Region, Secret
from backhaul.transports.connectors import connector
from backhaul.transports.ports import listen_everywhere
from backhaul.transports.quic_listener import QuicListener
from edge.agent import Agent
from edge.links import AgentLinks
from edge.metrics import EdgeMetrics
from edge.settings import EdgeSettings
from lab.figures import percentile
from lab.path_namespaces import make_namespace, path_problem, remove_namespace, run_ip

REGIONS: Final = ("one", "two", "three")
AGENTS: Final = 2
DEADLINE_S: Final = 30.0
HOLE: Final = """
table inet bench
delete table inet bench
table inet bench {
  chain input {
    type filter hook input priority 0
    tcp dport {PORTS} drop
    tcp sport {PORTS} drop
    udp dport {PORTS} drop
    udp sport {PORTS} drop
  }
}
"""
OPEN: Final = Open(lease_id="1", call_sid="CA1", profile="desk")


class Silent:
    """A call's end of a channel that does nothing."""

    def on_audio(self, audio: bytes) -> None:
        """Hear nothing."""

    def on_message(self, message: Message) -> None:
        """Hear nothing."""

    def on_channel_closed(self, reason: CloseReason) -> None:
        """Hear nothing."""


class Listener:
    """One agent that takes every call and says nothing."""

    def __init__(self, directory: Path, region: str, number: int) -> None:
        files = TlsFiles.of(directory, Role.REGION_AGENT, region)
        # Below those that the kernel gives to who dials: it must be free again later.
        self.port = random.randint(20_000, 30_000)  # noqa: S311 - any free one
        self._context = server_context(files)
        self._credentials = LinkCredentials.load(files)
        self._hello = Hello(PROTOCOL_VERSION, f"{region}-{number}", region, "only")
        self._tables = ChannelTables(grace_s=5.0)
        self._links: set[Link] = set()
        self._tcp: asyncio.Server | None = None
        self._quic: QuicListener | None = None

    async def start(self) -> None:
        """Listen, on the same port as before."""
        self._tcp, self._quic = await listen_everywhere(
            self._accept,
            "127.0.0.1",
            self.port,
            context=self._context,
            quic=self._credentials,
        )

    async def stop(self) -> None:
        """Cut every link and listen no more."""
        if self._tcp is not None:
            self._tcp.close()
        for link in list(self._links):
            link.close("killed")
        if self._quic is not None:
            await self._quic.aclose()

    def _accept(self) -> Link:
        return Link(
            hello=self._hello,
            config=LinkConfig(),
            owner=self,
            check_peer=lambda _certificate, _hello: None,
            tables=self._tables,
        )

    def on_link_ready(self, link: Link) -> None:
        """See LinkOwner."""
        self._links.add(link)

    def on_link_message(self, link: Link, message: Message) -> None:
        """See LinkOwner."""

    def on_channel_opened(self, channel: Channel, message: Open) -> ChannelHandler:  # noqa: ARG002
        """See LinkOwner."""
        return Silent()

    def on_link_closed(self, link: Link, reason: str) -> None:  # noqa: ARG002
        """See LinkOwner."""
        self._links.discard(link)


async def serve(directory: Path) -> None:
    """Run every agent; lines on stdin stop and start one of them."""
    agents = [
        Listener(directory, region, number + 1)
        for region in REGIONS
        for number in range(AGENTS)
    ]
    for agent in agents:
        await agent.start()
    print(json.dumps([agent.port for agent in agents]), flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        order, index = line.split()
        if order == b"stop":
            await agents[int(index)].stop()
        else:
            await agents[int(index)].start()
        print(json.dumps(monotonic_s()), flush=True)


class Agents:
    """The process that runs the agents."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def order(self, what: str, index: int) -> float:
        """Stop or start an agent; return when that was done (monotonic s)."""
        assert self._process.stdin is not None  # noqa: S101 - narrows the type
        self._process.stdin.write(f"{what} {index}\n".encode())
        done: float = await self.read()
        return done

    async def read(self) -> Any:  # noqa: ANN401 - whatever it says
        """Return the next line that it prints."""
        assert self._process.stdout is not None  # noqa: S101 - narrows the type
        async with asyncio.timeout(DEADLINE_S):
            return json.loads(await self._process.stdout.readline())


@asynccontextmanager
async def agents_running(directory: Path) -> AsyncIterator[tuple[Agents, list[int]]]:
    """Yield the agents in another process, and their ports."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, "--serve", str(directory)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        agents = Agents(process)
        yield agents, await agents.read()
    finally:
        process.kill()
        await process.wait()


def links_of(directory: Path, ports: list[int], transport: str) -> AgentLinks:
    """Return the links of an edge."""
    addresses = [f"127.0.0.1:{port}" for port in ports]
    settings = EdgeSettings(
        name="edge-1",
        public_url="https://voice.example.com",
        twilio_auth_tokens=(Secret("x"),),
        regions={
            region: Region(agents=tuple(addresses[at * AGENTS : (at + 1) * AGENTS]))
            for at, region in enumerate(REGIONS)
        },
        link_transport="quic" if transport == "quic" else "websocket",
    )
    files = TlsFiles.of(directory, Role.EDGE, settings.name)
    return AgentLinks(
        settings,
        connectors={one: connector(one, files) for one in settings.link_transports},
        metrics=EdgeMetrics(),
        rng=random.Random(1),  # noqa: S311 - spreads dials
    )


def is_full(agent: Agent) -> bool:
    """Tell whether an agent has all the links that it should have."""
    return all(len(pool.usable) >= pool.pool.target for pool in agent.pools)


async def until(agents: list[Agent], *, full: bool = True) -> None:
    """Wait until every agent has all its links, or none."""
    async with asyncio.timeout(DEADLINE_S):
        while not all(is_full(a) if full else not a.links() for a in agents):  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.002)


def instance_of(agent: Agent) -> str:
    """Return the process behind an agent's links."""
    return agent.link.peer.instance if agent.link is not None else ""


async def measure_acquisition(
    agents: list[Agent], *, standing: int, count: int
) -> tuple[list[float], list[float]]:
    """Return how long each acquisition took, and each release (s)."""
    for agent in agents:
        for _ in range(standing):
            agent.open_channel(Silent(), OPEN, instance=instance_of(agent))
    acquired_s: list[float] = []
    released_s: list[float] = []
    for number in range(count):
        agent = agents[number % len(agents)]
        instance = instance_of(agent)
        began = monotonic_s()
        seat = agent.seats.acquire(instance)
        had_at = monotonic_s()
        assert seat is not None  # noqa: S101 - narrows the type
        seat.pool.release(seat.pooled)
        acquired_s.append(had_at - began)
        released_s.append(monotonic_s() - had_at)
        if number % 100 == 0:
            await asyncio.sleep(0)
    return acquired_s, released_s


async def measure_returns(
    agents: list[Agent], process: Agents, rounds: int
) -> list[float]:
    """Return how soon an agent that listens again has a link (s)."""
    took_s: list[float] = []
    for number in range(rounds):
        index = number % len(agents)
        agent = agents[index]
        await process.order("stop", index)
        await until([agent], full=False)
        await asyncio.sleep(0.3 + 0.1 * number)  # it is tried in vain for a while
        listens_at = await process.order("start", index)
        async with asyncio.timeout(DEADLINE_S):
            while not agent.ready:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.001)
        took_s.append(monotonic_s() - listens_at)
        await until([agent])
    return took_s


async def nft(rules: str) -> None:
    """Change what this network namespace lets through."""
    process = await asyncio.create_subprocess_exec(
        "nft", "-f", "-", stdin=asyncio.subprocess.PIPE
    )
    await process.communicate(rules.encode())
    if process.returncode:
        sys.exit("nft failed")


async def measure_openings(
    agents: list[Agent], ports: list[int], rounds: int
) -> dict[str, list[float]]:
    """Return how soon there are links when a path opens that lost everything (s)."""
    pools = [pool for agent in agents for pool in agent.pools]
    took_s: dict[str, list[float]] = {pool.transport: [] for pool in pools}
    hole = HOLE.replace("PORTS", ", ".join(str(port) for port in ports))
    for number in range(rounds):
        await until(agents)
        await nft(hole)
        await until(agents, full=False)
        await asyncio.sleep(3.0 + 0.37 * number)  # dials fail, and wait ever longer
        await nft("delete table inet bench")
        opened_at, waiting = monotonic_s(), set(pools)
        async with asyncio.timeout(DEADLINE_S):
            while waiting:
                for pool in [one for one in waiting if one.usable]:
                    took_s[pool.transport].append(monotonic_s() - opened_at)
                    waiting.discard(pool)
                await asyncio.sleep(0.001)
    return took_s


async def run_black_hole(
    arguments: argparse.Namespace, directory: Path
) -> dict[str, Any]:
    """Measure what needs a network of its own."""
    async with agents_running(directory) as (_, ports):
        links = links_of(directory, ports, arguments.transport)
        links.start()
        took_s = await measure_openings(
            list(links.agents.values()), ports, arguments.rounds
        )
        await links.aclose()
    return {
        transport: {
            "p50_s": round(percentile(seconds, 50) or 0, 3),
            "max_s": round(max(seconds), 3),
            "samples": len(seconds),
        }
        for transport, seconds in took_s.items()
    }


def black_hole(arguments: argparse.Namespace, directory: Path) -> dict[str, Any] | None:
    """Return what `run_black_hole` measured; None where no path can be emulated."""
    if path_problem() is not None or shutil.which("nft") is None:
        return None
    namespace = make_namespace("bench")
    try:
        run_ip("-n", namespace, "link", "set", "lo", "up")
        done = subprocess.run(  # noqa: S603 - our own arguments
            [
                *("ip", "netns", "exec", namespace, sys.executable, __file__),
                *("--black-hole", str(directory), "--transport", arguments.transport),
                *("--rounds", str(arguments.rounds)),
            ],
            stdout=subprocess.PIPE,
            check=True,
        )
    finally:
        remove_namespace(namespace)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


async def run(arguments: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Measure over one transport and return the figures."""
    async with agents_running(directory) as (process, ports):
        links = links_of(directory, ports, arguments.transport)
        links.start()
        agents = list(links.agents.values())
        await until(agents)
        took_s, released_s = await measure_acquisition(
            agents, standing=arguments.standing, count=arguments.count
        )
        pools = [pool.pool for agent in agents for pool in agent.pools]
        reopened = sum(pool.counters.reopened for pool in pools)
        exhausted = sum(pool.counters.exhausted for pool in pools)
        back_s = await measure_returns(agents, process, arguments.rounds)
        opened = links.totals().opened
        await links.aclose()
    return {
        "transport": arguments.transport,
        "agents": len(agents),
        "standing_calls": arguments.standing * len(agents),
        "acquired": len(took_s),
        "p50_us": round((percentile(took_s, 50) or 0) * 1e6, 1),
        "p95_us": round((percentile(took_s, 95) or 0) * 1e6, 1),
        "p99_us": round((percentile(took_s, 99) or 0) * 1e6, 1),
        "release_p50_us": round((percentile(released_s, 50) or 0) * 1e6, 1),
        "release_p95_us": round((percentile(released_s, 95) or 0) * 1e6, 1),
        "reopened_per_1000": round(1000 * reopened / len(took_s), 3),
        "exhausted": exhausted,
        "links_opened": opened,
        "back_p50_s": round(percentile(back_s, 50) or 0, 3),
        "back_max_s": round(max(back_s), 3),
    }


def main() -> None:
    """Run the bench and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=30_000, help="acquisitions")
    parser.add_argument("--standing", type=int, default=25, help="calls per agent")
    parser.add_argument("--rounds", type=int, default=12, help="agents killed")
    parser.add_argument("--transport", choices=("quic", "websocket"), default="quic")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--black-hole", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    if arguments.serve is not None:
        uvloop.run(serve(arguments.serve))
        return
    if arguments.black_hole is not None:
        print(json.dumps(uvloop.run(run_black_hole(arguments, arguments.black_hole))))
        return
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        create_authority(directory)
        issue(directory, Role.EDGE, "edge-1")
        for region in REGIONS:
            issue(directory, Role.REGION_AGENT, region)
        figures = uvloop.run(run(arguments, directory))
        figures["back_from_black_hole"] = black_hole(arguments, directory)
    if arguments.json:
        print(json.dumps(figures))
        return
    print(
        "acquire: p50 {p50_us} us, p95 {p95_us} us, p99 {p99_us} us "
        "({acquired} times, {standing_calls} calls standing)\n"
        "release: p50 {release_p50_us} us, p95 {release_p95_us} us\n"
        "re-opened: {reopened_per_1000} of 1000, exhausted: {exhausted}\n"
        "a killed link is back: p50 {back_p50_s} s, at most {back_max_s} s after its "
        "agent".format(**figures)
    )
    hole = figures["back_from_black_hole"]
    if hole is None:
        print("back from a black hole: not measured, it needs root and nft")
        return
    for transport, back in hole.items():
        print(
            "back from a black hole, {transport}: p50 {p50_s} s, at most {max_s} s "
            "({samples} times)".format(transport=transport, **back)
        )


if __name__ == "__main__":
    main()
