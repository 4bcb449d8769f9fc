"""The bench of transports runs, and its figures are those that were asked for."""

import asyncio
import json
import os
import sys
from pathlib import Path

from backhaul.child import start_child
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
