"""Regions die, hang, vanish, lose and come back under live calls."""

import pytest

from tests.integration.drills import passes, within_minutes

pytestmark = within_minutes


@pytest.mark.parametrize("name", ["region-kill", "region-hang", "region-blackhole"])
async def test_calls_outlive_their_region(name: str) -> None:
    result = await passes(name)
    assert result["restore_ms"]["p99"] is not None


@pytest.mark.parametrize("name", ["asymmetric-loss", "gray-region", "heal", "flap"])
async def test_regions_that_are_half_well_cost_no_call(name: str) -> None:
    await passes(name)
