"""What `peers.py` says of what it measured: medians, ratios and lines of a table."""

import os
import platform
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, Final

__all__ = [
    "in_time",
    "label_of",
    "machine",
    "medians",
    "most_carried",
    "ratios",
    "show",
    "show_ratios",
]

LATE_MS: Final = 20.0
"""A call counts as carried while the p99 of its added latency is no more."""
OURS: Final = "warmline"


def machine() -> dict[str, Any]:
    """Return what ran the bench, and how busy it was before."""
    facts = Path("/proc/cpuinfo").read_text().splitlines()
    models = [
        line.partition(": ")[2] for line in facts if line.startswith("model name")
    ]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def label_of(row: dict[str, Any]) -> str:
    """Return the system and its transport."""
    transport = f"-{row['transport']}" if row["transport"] else ""
    return f"{row['system']}{transport}"


def medians(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the rounds of one case as one row: the median of each number."""
    found: dict[str, Any] = {}
    for key, first in rounds[0].items():
        values = [row[key] for row in rounds]
        if isinstance(first, dict):
            found[key] = medians(values)
        elif isinstance(first, bool):
            found[key] = all(values)
        elif isinstance(first, int | float) or first is None:
            numbers = [value for value in values if value is not None]
            found[key] = round(median(numbers), 3) if numbers else None
        else:
            found[key] = first
    return found


def ratios(runs: list[dict[str, Any]]) -> dict[str, float]:
    """Return what a call costs here over what it costs at each peer.

    Each cost is taken in units of the work that the machine did in the same seconds, so
    that a ratio holds although the machine was faster for one of them. A peer that was
    not asked for so many calls stands with the most it was asked for; the key tells:
    ``websocket+tls@200 / plain+tls@100``.
    """
    found: dict[str, float] = {}
    for ours in runs:
        if ours["system"] != OURS:
            continue
        for name, peer in _peers_of(ours, runs):
            key = f"{ours['transport']}{_mark(ours)} / {name}{_mark(peer)}"
            if theirs := _units(peer):
                found[key] = round(_units(ours) / theirs, 3)
    return found


def _units(row: dict[str, Any]) -> float:
    cpu_ms: float = row["cpu_ms_per_call_second"]["total"]
    unit_us: float = row["machine_unit_us"]
    return cpu_ms / unit_us


def _peers_of(
    ours: dict[str, Any], runs: list[dict[str, Any]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield, for each peer, its run with as many calls, or the most below."""
    names = dict.fromkeys(run["system"] for run in runs if run["system"] != OURS)
    for name in names:
        fits = [
            run
            for run in runs
            if run["system"] == name
            and run["tls"] == ours["tls"]
            and run["calls"] <= ours["calls"]
        ]
        if fits:
            yield name, max(fits, key=lambda run: run["calls"])


def _mark(row: dict[str, Any]) -> str:
    return f"{'+tls' * row['tls']}@{row['calls']}"


def most_carried(runs: list[dict[str, Any]]) -> dict[str, int]:
    """Return how many calls each system carried before one load was too much."""
    found: dict[str, int] = {}
    beyond: set[str] = set()
    for run in sorted(runs, key=lambda run: run["calls"]):
        name = f"{label_of(run)}{'+tls' * run['tls']}"
        if name not in beyond and in_time(run):
            found[name] = run["calls"]
        else:
            beyond.add(name)
            found.setdefault(name, 0)
    return found


def in_time(run: dict[str, Any]) -> bool:
    """Return whether all calls of a run were carried, and none too late."""
    delays = (run["added_ms"]["p99"], run["back_ms"]["p99"])
    late = any(delay is None or delay > LATE_MS for delay in delays)
    return run["carried"] and not late


def show(row: dict[str, Any]) -> str:
    """Return *row* as a line of the table."""
    cpu, memory = row["cpu_ms_per_call_second"], row["rss_kb_per_call"]
    parts = ""
    if cpu["edge"] is not None:
        parts = f" = {cpu['edge']:.2f} + {cpu['agent']:.2f}"
    bench = max(row["bench_cores"].values())
    return (
        f"{label_of(row):20} {'TLS' if row['tls'] else '   '} {row['calls']:4} calls"
        f"  CPU {cpu['total']:6.2f}{parts} ms/call-s"
        f"  there p50 {_ms(row['added_ms']['p50'])} p99 {_ms(row['added_ms']['p99'])}"
        f"  back p50 {_ms(row['back_ms']['p50'])} p99 {_ms(row['back_ms']['p99'])} ms"
        f"  RSS {memory['total']:6.0f} KB/call"
        f"  lost {row['lost_percent']:.2f} % and {row['failed_calls']:g} calls"
        f"  (bench {bench:.2f} cores, late p99 {row['carrier_late_p99_ms']:.1f} ms,"
        f" unit {row['machine_unit_us']:.0f} us)"
        + "".join(f"\n  {text}" for text in row["failures"])
    )


def _ms(value: float | None) -> str:
    return f"{'-' if value is None else f'{value:.2f}':>6}"


def show_ratios(found: dict[str, float]) -> list[str]:
    """Return one line for each ratio."""
    return [f"{key:44} {value:6.3f}x" for key, value in found.items()]
