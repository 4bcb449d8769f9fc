"""Calls on a fabric whose paths break, in a network namespace of their own."""

import asyncio
import json
import os
import sys

from tests.integration.calls_on_broken_paths import CALLS

ALL_WELL: dict[str, object] = {
    "talking": CALLS,
    "answered": CALLS,
    # Nobody was reconnected: every call kept its one Media Stream and its session.
    "streams": [1] * CALLS,
    "exact": CALLS,
}


async def outcome_of(namespace: str, drill: str) -> dict[str, object]:
    """Run one of the drills in *namespace*; return what became of the calls."""
    process = await asyncio.create_subprocess_exec(
        *("ip", "netns", "exec", namespace),
        *(sys.executable, "-m", "tests.integration.calls_on_broken_paths", drill),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"EDGE_LINK_TRANSPORT": "quic"},
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    outcome: dict[str, object] = json.loads(said)
    return outcome
