"""Puts the metrics of several workers into one answer, each with its number."""

from collections.abc import Iterator, Mapping

from prometheus_client.core import Metric
from prometheus_client.parser import (
    text_string_to_metric_families,  # pyright: ignore[reportUnknownVariableType]
)
from prometheus_client.registry import Collector

__all__ = ["WorkerMetrics"]


class WorkerMetrics(Collector):
    """What all workers measure; the label ``worker`` tells them apart.

    Sums are Prometheus's business: it knows which figures may be added.
    """

    def __init__(self, texts: Mapping[int, str]) -> None:
        """Take the text of each worker's /metrics, by its number."""
        self._texts = texts

    def collect(self) -> Iterator[Metric]:
        """Return every family once, with the samples of all workers."""
        families: dict[str, Metric] = {}
        for worker, text in self._texts.items():
            for family in text_string_to_metric_families(text):
                whole = families.setdefault(
                    family.name, Metric(family.name, family.documentation, family.type)
                )
                for sample in family.samples:
                    labels = {**sample.labels, "worker": str(worker)}
                    whole.add_sample(sample.name, labels, sample.value)
        yield from families.values()
