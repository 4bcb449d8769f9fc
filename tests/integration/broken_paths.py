"""Calls on a fabric whose paths break, in a network namespace of their own."""

import asyncio
import json
import os
import sys

from tests.integration.calls_on_broken_paths import CALLS


async def assert_calls_lose_nothing(namespace: str, drill: str) -> None:
    """Run one of the drills in *namespace*."""
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
