"""Models, stores and processes fail under live calls."""

import pytest

from tests.integration.drills import passes, within_minutes

pytestmark = within_minutes


@pytest.mark.parametrize(
    "name",
    [
        "model-close",
        "model-429",
        "model-slow",
        "model-hang",
        "model-mute",
        "model-deaf",
    ],
)
async def test_calls_outlive_what_the_model_does(name: str) -> None:
    await passes(name)


@pytest.mark.parametrize("name", ["redis-kill", "redis-hang"])
async def test_no_call_needs_redis(name: str) -> None:
    await passes(name)


@pytest.mark.parametrize("name", ["fd-limit", "loop-stall", "slow-consumer"])
async def test_calls_outlive_what_a_process_suffers(name: str) -> None:
    await passes(name)
