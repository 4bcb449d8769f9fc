"""TCP breaks in every way while calls are talked on: they go on, and lose nothing."""

import pytest

from tests.integration.broken_paths import ALL_WELL, outcome_of
from tests.integration.calls_on_broken_paths import TCP_DRILLS


@pytest.mark.timeout(300)
@pytest.mark.parametrize("drill", TCP_DRILLS)
async def test_calls_lose_no_audio_when_tcp_breaks(namespace: str, drill: str) -> None:
    assert await outcome_of(namespace, drill) == ALL_WELL
