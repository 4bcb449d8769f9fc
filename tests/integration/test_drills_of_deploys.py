"""Edges and agents are replaced under live calls, sessions end, an edge dies."""

import pytest

from tests.integration.drills import passes, within_minutes

pytestmark = within_minutes


@pytest.mark.parametrize(
    "name", ["session-expiry", "agent-deploy", "edge-deploy", "edge-kill"]
)
async def test_calls_outlive_what_is_replaced(name: str) -> None:
    await passes(name)
