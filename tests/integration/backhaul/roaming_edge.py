"""An edge whose address is taken from it in mid-call, in a network of its own.

``python -m tests.integration.backhaul.roaming_edge DIRECTORY`` says where the agent
hears it from, before and after. It changes addresses: run it in a network namespace.
"""

import asyncio
import sys
from pathlib import Path

from backhaul.credentials import LinkCredentials
from backhaul.pki import Role, create_authority, issue
from backhaul.transports.quic_listener import serve_quic
from lab.path_namespaces import run_ip
from tests.integration.backhaul.links import (
    AGENT_HELLO,
    EDGE_HELLO,
    QUIET,
    Bench,
    eventually,
)

AGENT, HOME, AWAY = "10.9.9.9", "10.9.9.1", "10.9.9.2"


def be_at(host: str) -> None:
    """Have what goes to the agent leave from *host*."""
    run_ip(*f"route replace local {AGENT} dev lo table local src {host}".split())


async def run(directory: Path) -> None:
    for host in (AGENT, HOME, AWAY):
        run_ip("address", "add", f"{host}/32", "dev", "lo")
    run_ip("link", "set", "lo", "up")
    be_at(HOME)
    create_authority(directory)
    bench = Bench(directory, "quic")
    credentials = LinkCredentials.load(issue(directory, Role.REGION_AGENT, "home"))
    listener = await serve_quic(
        lambda: bench.agent.link, AGENT, 0, credentials=credentials
    )
    agent = bench.agent = bench.new(AGENT_HELLO, QUIET)
    edge = bench.new(EDGE_HELLO, QUIET)
    address = f"{AGENT}:{listener.port}"
    await bench.dialer().connect(edge.link, address, timeout_s=30.0)
    await eventually(lambda: edge.ready and agent.ready)
    (served,) = set(listener._by_identifier.values())
    call = edge.open()
    await eventually(lambda: bool(agent.calls))
    say(served.connection.get_peer_address())
    be_at(AWAY)
    run_ip("address", "delete", f"{HOME}/32", "dev", "lo")
    heard = len(agent.calls[0].audio)
    while len(agent.calls[0].audio) < heard + 10:
        call.open_channel.send_audio(bytes(160))
        await asyncio.sleep(0.02)
    agent.calls[0].open_channel.send_audio(b"heard there")
    await eventually(lambda: call.audio == [b"heard there"])
    say(served.connection.get_peer_address())


def say(address: object) -> None:
    assert isinstance(address, tuple)
    sys.stdout.write(f"{address[0]}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1])))
