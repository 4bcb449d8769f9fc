"""Lines that CloudWatch takes metrics from."""

from pathlib import Path
from typing import Any

from backhaul.core.cloud_metrics import MAX_VALUES, CloudMetric, metric_lines


def lines(measured: dict[CloudMetric, list[float]]) -> list[dict[str, Any]]:
    return list(
        metric_lines(
            measured,
            namespace="Warmline",
            dimension=("Region", "us-east-1"),
            at_unix_ms=1_700_000_000_000,
        )
    )


def test_a_line_names_its_metrics_and_their_dimension() -> None:
    assert lines(
        {CloudMetric.ACTIVE_CALLS: [3], CloudMetric.FIRST_AUDIO: [0.25, 0.5]}
    ) == [
        {
            "_aws": {
                "Timestamp": 1_700_000_000_000,
                "CloudWatchMetrics": [
                    {
                        "Namespace": "Warmline",
                        "Dimensions": [["Region"]],
                        "Metrics": [
                            {
                                "Name": "active_calls",
                                "Unit": "Count",
                                "StorageResolution": 1,
                            },
                            {
                                "Name": "first_audio_seconds",
                                "Unit": "Seconds",
                                "StorageResolution": 1,
                            },
                        ],
                    }
                ],
            },
            "Region": "us-east-1",
            "active_calls": 3,
            "first_audio_seconds": [0.25, 0.5],
        }
    ]


def test_what_was_not_measured_is_not_named() -> None:
    (line,) = lines({CloudMetric.ACTIVE_CALLS: [0], CloudMetric.WEBHOOK: []})
    assert "webhook_seconds" not in line
    assert line["active_calls"] == 0
    assert lines({CloudMetric.WEBHOOK: []}) == []


def test_more_values_than_a_line_may_have_take_several() -> None:
    values = [float(number) for number in range(2 * MAX_VALUES + 1)]
    found = lines({CloudMetric.WEBHOOK: values, CloudMetric.ACTIVE_CALLS: [7]})
    assert [line.get("active_calls") for line in found] == [7, None, None]
    again: list[float] = []
    for line in found:
        part = line["webhook_seconds"]
        again += part if isinstance(part, list) else [part]
    assert again == values


def test_the_page_on_observability_names_them_all() -> None:
    page = Path(__file__).parents[4] / "docs" / "observability.md"
    rows = page.read_text().partition("## CloudWatch")[2].splitlines()
    cells = [[cell.strip(" `") for cell in row.split("|")[1:4]] for row in rows]
    told = [(row[0], row[2]) for row in cells if len(row) == 3][2:]
    assert told == [(metric.label, metric.unit) for metric in CloudMetric]


def test_no_name_is_one_of_the_log_lines_own() -> None:
    own = {"event", "level", "timestamp", "Region", "Edge", "_aws"}
    assert not own & {metric.label for metric in CloudMetric}
