"""Holds a drill in its short form: everything is judged but times."""

from typing import Any

import pytest

from lab.drills.catalogue import DRILLS
from lab.drills.runner import DrillOptions, hold

KEYS = {
    "drill",
    "calls",
    "recovered",
    "lost",
    "detect_ms",
    "restore_ms",
    "audio_lost_ms",
    "tools_twice",
    "verdict",
    "why",
}
within_minutes = pytest.mark.timeout(300)
"""A dozen processes, real conversations, and a machine that may be busy."""


async def passes(name: str) -> dict[str, Any]:
    """Hold a drill; fail unless it is passed."""
    result = await hold(DRILLS[name], DrillOptions(short=True))
    assert set(result) == KEYS
    assert result["verdict"] == "pass", result["why"]
    assert result["recovered"] == result["calls"] > 0
    assert result["lost"] == result["tools_twice"] == 0
    return result
