"""Paths break in every way while calls are talked on: they go on, and lose nothing."""

import asyncio
import json
import os
import sys
from collections.abc import Iterator

import pytest

from lab.path_namespaces import make_namespace, remove_namespace, run_ip
from tests.integration.calls_on_broken_paths import CALLS, DRILLS
from tests.integration.judges import emulated_paths_possible, installed


@pytest.fixture
def namespace() -> Iterator[str]:
    emulated_paths_possible()
    installed("nft", package="nftables")
    name = make_namespace("drill")
    run_ip("-n", name, "link", "set", "lo", "up")
    yield name
    remove_namespace(name)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("drill", DRILLS)
async def test_calls_lose_no_audio_when_their_path_breaks(
    namespace: str, drill: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        *("ip", "netns", "exec", namespace),
        *(sys.executable, "-m", "tests.integration.calls_on_broken_paths", drill),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"EDGE_LINK_TRANSPORT": "quic"},
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    assert json.loads(said) == {
        "talking": CALLS,
        "answered": CALLS,
        # Nobody was reconnected: every call kept its one Media Stream and its session.
        "streams": [1] * CALLS,
        "exact": CALLS,
    }
