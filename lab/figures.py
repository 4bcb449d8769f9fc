"""Percentiles of what callers measured."""

import math
from collections.abc import Sequence

__all__ = ["percentile", "percentiles"]


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Return the nearest-rank percentile; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    rank = max(math.ceil(percent / 100 * len(ordered)), 1)
    return ordered[rank - 1]


def percentiles(values: Sequence[float]) -> dict[str, float | None]:
    """Return p50, p95 and p99, rounded to a tenth."""
    found = {f"p{p}": percentile(values, p) for p in (50, 95, 99)}
    return {
        name: None if value is None else round(value, 1)
        for name, value in found.items()
    }
