"""Reports come in time, once more at the end, and not at all when not wanted."""

import asyncio

import pytest
from structlog.testing import capture_logs

from backhaul.cloud_metrics import CloudMetrics, Growth
from backhaul.core.cloud_metrics import CloudMetric


def reporter(namespace: str) -> CloudMetrics:
    return CloudMetrics(
        namespace,
        dimension=("Edge", "one"),
        measure=lambda: {CloudMetric.ACTIVE_CALLS: [2]},
        every_s=0.01,
    )


async def test_reports_go_to_the_log_until_the_end() -> None:
    metrics = reporter("Warmline")
    with capture_logs() as logs:
        metrics.start()
        async with asyncio.timeout(10):
            while len(logs) < 3:
                await asyncio.sleep(0.005)
        before = len(logs)
        await metrics.aclose()
    assert len(logs) == before + 1
    assert all(line["event"] == "metrics.measured" for line in logs)
    assert (logs[0]["Edge"], logs[0]["active_calls"]) == ("one", 2)
    definition = logs[0]["_aws"]["CloudWatchMetrics"][0]
    assert definition["Namespace"] == "Warmline"


async def test_without_a_namespace_nothing_is_told() -> None:
    metrics = reporter("")
    with capture_logs() as logs:
        metrics.start()
        await asyncio.sleep(0.03)
        await metrics.aclose()
    assert logs == []


@pytest.mark.parametrize("counts", [[0, 3, 3, 10]])
def test_growth_is_since_the_last_time(counts: list[int]) -> None:
    values = iter(counts)
    growth = Growth(lambda: next(values))
    assert [growth.take() for _ in range(3)] == [3, 0, 7]
