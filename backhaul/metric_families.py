"""Labelled metric families from plain numbers."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

__all__ = ["counter", "gauge"]

_Sample = tuple[tuple[str, ...], float]
"""Values of the labels, and the number."""


def gauge(
    name: str, text: str, labels: tuple[str, ...], samples: Iterable[_Sample]
) -> Metric:
    """Return a gauge with one number per combination of labels."""
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def counter(
    name: str, text: str, labels: tuple[str, ...], samples: Iterable[_Sample]
) -> Metric:
    """Return a counter with one number per combination of labels."""
    family = CounterMetricFamily(name, text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family
