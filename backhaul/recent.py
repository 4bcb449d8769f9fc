"""What was measured lately, value by value, for those who want percentiles."""

from collections.abc import Callable
from typing import Final

from prometheus_client import Histogram

from backhaul.core.estimators import SmoothedMean

__all__ = ["Recent", "RecentHistogram", "RecentMean"]

_KEPT: Final = 1000


class Recent:
    """Keeps the values since they were last taken, and no more than 1000 of them.

    Further ones are left out: the first thousand of ten seconds tell enough.

    Attributes:
        also: Told of every value, if anything.
    """

    def __init__(self) -> None:
        self.also: Callable[[float], None] | None = None
        self._values: list[float] = []

    def add(self, value: float) -> None:
        """Keep *value*."""
        if self.also is not None:
            self.also(value)
        if len(self._values) < _KEPT:
            self._values.append(value)

    def take(self) -> list[float]:
        """Return the values, and forget them."""
        values, self._values = self._values, []
        return values


class RecentHistogram(Histogram):
    """A histogram without labels that keeps what was observed lately as well."""

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        """Observe *amount*; see Histogram."""
        super().observe(amount, exemplar)
        self.recent.add(amount)

    def _metric_init(self) -> None:
        super()._metric_init()
        self.recent = Recent()


class RecentMean(SmoothedMean):
    """A mean that keeps its latest samples as well."""

    def __init__(self, expected: float = 0.0) -> None:
        super().__init__(expected)
        self.recent = Recent()

    def add(self, sample: float) -> None:
        """Take note of one measurement."""
        super().add(sample)
        self.recent.add(sample)
