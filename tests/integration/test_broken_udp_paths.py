"""UDP breaks in every way while calls are talked on: they go on, and lose nothing."""

import pytest

from tests.integration.broken_paths import ALL_WELL, outcome_of
from tests.integration.calls_on_broken_paths import UDP_DRILLS


@pytest.mark.timeout(300)
@pytest.mark.parametrize("drill", UDP_DRILLS)
async def test_calls_lose_no_audio_when_udp_breaks(namespace: str, drill: str) -> None:
    assert await outcome_of(namespace, drill) == ALL_WELL
