"""UDP is blocked while calls are talked on: they go on over TCP, and lose nothing."""

import asyncio
import json
import os
import sys
from collections.abc import Iterator

import pytest

from lab.path_namespaces import make_namespace, remove_namespace, run_ip
from tests.integration.calls_without_udp import CALLS
from tests.integration.judges import emulated_paths_possible, installed


@pytest.fixture
def namespace() -> Iterator[str]:
    emulated_paths_possible()
    installed("nft", package="nftables")
    name = make_namespace("udp")
    run_ip("-n", name, "link", "set", "lo", "up")
    yield name
    remove_namespace(name)


@pytest.mark.timeout(300)
async def test_calls_lose_no_audio_when_udp_is_blocked(namespace: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *("ip", "netns", "exec", namespace),
        *(sys.executable, "-m", "tests.integration.calls_without_udp"),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"EDGE_LINK_TRANSPORT": "quic"},
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    found = json.loads(said)
    assert found["before"] == {"quic": CALLS, "websocket": 0}
    assert found["after"].get("quic", 0) == 0
    assert found["answered"] == CALLS
    # Nobody was reconnected: every call kept its one Media Stream and its session.
    assert found["streams"] == [1] * CALLS
    assert found["exact"] == CALLS
