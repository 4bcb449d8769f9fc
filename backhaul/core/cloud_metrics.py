"""Metrics of CloudWatch, as lines of a log in its embedded metric format.

Every name that alarms, scaling and dashboards read stands here and nowhere else.
Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, Final

__all__ = ["MAX_VALUES", "CloudMetric", "metric_lines"]

MAX_VALUES: Final = 100
"""Of one metric in one line."""
_RESOLUTION_S: Final = 1
"""High resolution: alarms may look at 10 s at a time."""


class CloudMetric(Enum):
    """A metric and its unit."""

    ACTIVE_CALLS = ("active_calls", "Count")
    """Calls in progress at one agent (dimension Region) or one edge (Edge)."""
    SESSION_ACQUIRE = ("session_acquire_seconds", "Seconds")
    """Agent: from a request to the grant of a warm session."""
    PROFILES_WITHOUT_STOCK = ("profiles_without_stock", "Count")
    """Agent: profiles of which no session is warm."""
    SESSION_OPEN_FAILURES = ("session_open_failures", "Count")
    """Agent: sessions that could not be opened, since the last line."""
    FIRST_AUDIO = ("first_audio_seconds", "Seconds")
    """Agent: from asking the model to its first audio. Edge: from the start of the
    caller's stream to what they hear first."""
    LINK_ACQUISITION = ("link_acquisition_seconds", "Seconds")
    """Edge: for a call to get a link."""
    WEBHOOK = ("webhook_seconds", "Seconds")
    """Edge: to answer the voice webhook."""
    CALLS_WITHOUT_VOICE = ("calls_without_voice", "Count")
    """Edge: callers who were told that nobody can answer, since the last line."""

    @property
    def label(self) -> str:
        """Its name in CloudWatch."""
        return self.value[0]

    @property
    def unit(self) -> str:
        """Its unit, as CloudWatch spells it."""
        return self.value[1]


def metric_lines(
    measured: Mapping[CloudMetric, Sequence[float]],
    *,
    namespace: str,
    dimension: tuple[str, str],
    at_unix_ms: int,
) -> Iterator[dict[str, Any]]:
    """Yield the members of as many lines as *measured* needs.

    Args:
        measured: Values by metric; one without values is left out.
        namespace: Of the metrics.
        dimension: Name and value of the one dimension that all have.
        at_unix_ms: When it was measured (ms since 1970).
    """
    longest = max(map(len, measured.values()), default=0)
    for start in range(0, longest, MAX_VALUES):
        part = {
            metric: list(values[start : start + MAX_VALUES])
            for metric, values in measured.items()
            if values[start : start + MAX_VALUES]
        }
        name, value = dimension
        yield {
            "_aws": {
                "Timestamp": at_unix_ms,
                "CloudWatchMetrics": [
                    {
                        "Namespace": namespace,
                        "Dimensions": [[name]],
                        "Metrics": [_definition(metric) for metric in part],
                    }
                ],
            },
            name: value,
        } | {metric.label: _compact(values) for metric, values in part.items()}


def _definition(metric: CloudMetric) -> dict[str, object]:
    return {
        "Name": metric.label,
        "Unit": metric.unit,
        "StorageResolution": _RESOLUTION_S,
    }


def _compact(values: list[float]) -> float | list[float]:
    return values[0] if len(values) == 1 else values
