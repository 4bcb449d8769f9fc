"""What `transports.py` says of what it measured: costs, ratios, medians and lines."""

from statistics import median
from typing import Any

__all__ = ["Round", "medians", "show"]

Round = dict[str, dict[str, Any]]
"""What one round found, by transport."""


def with_cost(found: Round, baseline: str) -> Round:
    """Return the round with what a frame costs, and its ratios to the *baseline*.

    The pacing of the bench costs the same whatever carries the audio, so it is taken
    off: what it cost in this round, since the machine changes its speed.
    """
    bench_us = median(row["bench_us_per_frame"] for row in found.values())
    costly = {
        name: row | {"cpu_us_per_frame": row["whole_us_per_frame"] - bench_us}
        for name, row in found.items()
    }
    return {
        name: row if name == baseline else row | ratios(row, costly.get(baseline, {}))
        for name, row in costly.items()
    }


def ratios(row: dict[str, Any], baseline: dict[str, Any]) -> dict[str, float]:
    """Return the ratios of *row* to the baseline in the same round, if it has one."""
    keys = {
        "cpu_ratio": "cpu_us_per_frame",
        "over_propagation_p99_ratio": "over_propagation_p99_ms",
    }
    return {
        name: row[key] / baseline[key]
        for name, key in keys.items()
        if baseline.get(key, 0) > 0
    }


def medians(found: list[Round], baseline: str) -> Round:
    """Return all rounds as one, with ratios to the *baseline*."""
    costly = [with_cost(one, baseline) for one in found]
    return {
        name: row
        | {
            key: round(median(one[name][key] for one in costly if key in one[name]), 4)
            for key, value in row.items()
            if isinstance(value, float)
        }
        for name, row in costly[0].items()
    }


def show(row: dict[str, Any]) -> str:
    """Return *row* as a line of the table."""
    loss = f"{row['loss_percent']:g} %" + (f" by {row['burst']}" * (row["burst"] > 1))
    return (
        f"{loss:10} {row['calls']:3} calls  {row['transport']:18}"
        f" p50 {row['p50_ms']:8.1f}  p99 {row['p99_ms']:8.1f}"
        f"  p99.9 {row['p999_ms']:8.1f} ms"
        f"  over {row['over_propagation_p99_ms']:+8.1f} ms"
        f"  lost {row['lost_percent']:7.3f} %  in time {row['in_time_percent']:7.2f} %"
        f"  {row['cpu_us_per_frame']:6.1f} us/frame"
        f" ({row.get('cpu_ratio', 1):.2f}x)  {row['congestion_control']}"
    )
