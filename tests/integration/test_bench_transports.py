"""The bench of transports runs, and its figures are those that were asked for."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from backhaul.child import start_child
from bench.transport_report import medians
from tests.integration.judges import emulated_paths_possible

ROOT = Path(__file__).parents[2]


async def test_one_transport_is_measured_over_an_emulated_path() -> None:
    emulated_paths_possible()
    arguments = "--seconds 1 --calls 3 --rtt-ms 20 --losses 0 --transports websocket"
    process = await start_child(
        [
            *(sys.executable, str(ROOT / "bench" / "transports.py")),
            *arguments.split(),
            "--json",
        ],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    row = json.loads(out)
    assert row["transport"] == "websocket"
    assert row["calls"] == 3
    assert row["lost_percent"] == row["doubled"] == row["path_overflowed"] == 0
    assert row["p50_ms"] >= 10
    assert row["p50_ms"] <= row["p99_ms"] <= row["p999_ms"]
    assert row["cpu_us_per_frame"] > 0


def found(whole_us: float, bench_us: float) -> dict[str, object]:
    return {
        "transport": "any",
        "whole_us_per_frame": whole_us,
        "bench_us_per_frame": bench_us,
        "over_propagation_p99_ms": 2.0,
    }


def test_costs_are_compared_within_a_round_and_without_what_the_bench_costs() -> None:
    quick = {"ours": found(20.0, 9.0), "theirs": found(60.0, 11.0)}
    # The same machine at half its speed, and a round that somebody disturbed.
    slow = {"ours": found(40.0, 18.0), "theirs": found(120.0, 22.0)}
    spoilt = {"ours": found(90.0, 10.0), "theirs": found(60.0, 10.0)}
    rows = medians([quick, slow, spoilt], "theirs")
    assert rows["ours"]["cpu_ratio"] == pytest.approx(0.2)
    assert rows["ours"]["cpu_us_per_frame"] == pytest.approx(20.0)
    assert rows["ours"]["over_propagation_p99_ratio"] == pytest.approx(1.0)
    assert rows["theirs"]["cpu_us_per_frame"] == pytest.approx(50.0)
    assert "cpu_ratio" not in rows["theirs"]


def test_without_the_baseline_there_are_no_ratios() -> None:
    assert "cpu_ratio" not in medians([{"ours": found(20.0, 9.0)}], "theirs")["ours"]
