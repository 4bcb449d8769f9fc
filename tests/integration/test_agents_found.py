"""An edge that knows one agent finds the others, and keeps them without the store."""

import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backhaul.pki import Role, issue
from backhaul.settings import Region, Secret
from backhaul.store import Store, open_store
from edge.links import Lease
from edge.service import Edge
from edge.settings import EdgeSettings
from lab.realtime import RealtimeLatency
from tests.integration.region_agent.bench import CONFIG, Bench, eventually, running


@pytest.fixture
def ports() -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(2)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    store = await open_store(None, timeout_s=5.0)
    yield store
    await store.aclose()


@pytest.fixture
async def agents(
    tmp_path: Path, ports: list[int], store: Store
) -> AsyncIterator[list[Bench]]:
    async with contextlib.AsyncExitStack() as stack:
        benches: list[Bench] = []
        for number, port in enumerate(ports, start=1):
            environ = {
                "REDIS_URL": store.url,
                "REGION_AGENT_AGENT_ID": f"home-{number}",
                "REGION_AGENT_LISTEN_PORT": str(port),
                "REGION_AGENT_ADVERTISE_ADDRESS": f"localhost:{port}",
                "REGION_AGENT_MEMBERS_INTERVAL_S": "0.05",
            }
            started = running(tmp_path, RealtimeLatency.none(), environ, CONFIG)
            benches.append(await stack.enter_async_context(started))
        yield benches


@pytest.fixture
async def edge(
    tmp_path: Path, ports: list[int], agents: list[Bench]
) -> AsyncIterator[Edge]:
    assert len(agents) == len(ports)
    issue(tmp_path / "pki", Role.EDGE, "edge-1")
    edge = Edge(
        EdgeSettings(
            name="edge-1",
            public_url="https://voice.example.com",
            twilio_auth_tokens=(Secret("token"),),
            listen_host="127.0.0.1",
            http_port=0,
            media_port=0,
            pki_dir=tmp_path / "pki",
            regions={"home": Region(agents=(f"127.0.0.1:{ports[0]}",))},
            numbers={"*": "plain"},
            heartbeat_timeout_s=20.0,
            agent_patience_s=20.0,
        )
    )
    await edge.start()
    yield edge
    await edge.stop()


def ready(edge: Edge) -> set[str]:
    return {address for address, one in edge.links.agents.items() if one.ready}


async def test_one_seed_leads_to_every_agent_by_its_own_address(
    edge: Edge, ports: list[int], store: Store, agents: list[Bench]
) -> None:
    own = {f"localhost:{port}" for port in ports}
    await eventually(lambda: ready(edge) == own == set(edge.links.agents))
    for bench in agents:
        await bench.wait_warm()
    await store.aclose()
    withheld = agents[0].agent.membership.counters
    await eventually(lambda: withheld.withheld > 3)
    assert ready(edge) == own == set(edge.links.agents)
    for number, agent in enumerate(edge.links.agents.values()):
        lease = await edge.links.lease(agent, call_sid=f"CA{number}", profile="plain")
        assert isinstance(lease, Lease)
        lease.release()
