"""How long until a caller hears the first word, with a greeting and without one.

Each case is a run of the demo: real processes, real sockets, the stand-ins' realistic
latencies. The calls begin one after the other, five in a second, and then again all in
the same instant. Each case is run ``--rounds`` times, and each percentile is the median
of those of the runs: what else the machine does shows in one of them. Prints one line
per case; ``--json`` prints one object.
"""

import argparse
import json
import statistics
import subprocess
import sys
from typing import Any, Final

LATENCIES: Final = ("first_audio_ms", "router_added_ms", "turn_ms")
COUNTS: Final = ("calls", "warm_hits", "bytes_exact")


def run_demo(calls: int, *, calls_per_s: float, greeting: bool) -> dict[str, Any]:
    """Return the figures of one demo."""
    flag = "--greeting" if greeting else "--no-greeting"
    command = [sys.executable, "-m", "lab.cli", "demo", "--no-outage", "--json", flag]
    options = [f"--calls={calls}", f"--calls-per-s={calls_per_s}"]
    done = subprocess.run(  # noqa: S603 - our own command
        [*command, *options], stdout=subprocess.PIPE, check=False
    )
    if not done.stdout:
        sys.exit(f"the demo failed with exit code {done.returncode}")
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def run_demos(
    rounds: int, calls: int, rate: float, *, greeting: bool
) -> dict[str, Any]:
    """Return the figures of *rounds* demos: medians of latencies, sums of calls."""
    runs = [run_demo(calls, calls_per_s=rate, greeting=greeting) for _ in range(rounds)]
    counts = {name: sum(run[name] for run in runs) for name in COUNTS}
    return counts | {
        name: {
            percentile: statistics.median(run[name][percentile] for run in runs)
            for percentile in runs[0][name]
        }
        for name in LATENCIES
        if runs[0][name]["p50"] is not None  # a greeting hides what the router adds
    }


def show(arrivals: str, with_greeting: dict[str, Any], without: dict[str, Any]) -> None:
    """Print the lines of calls that begin in one way."""
    rows = (
        ("greeting: first audio", with_greeting, "first_audio_ms"),
        ("model opens: first audio", without, "first_audio_ms"),
        ("model opens: added by the router", without, "router_added_ms"),
        ("reply after the caller's turn", with_greeting, "turn_ms"),
    )
    for name, figures, key in rows:
        values = figures[key]
        print(
            f"{arrivals:12} {name:34} p50 {values['p50']:7.1f} ms"
            f"   p95 {values['p95']:7.1f} ms   p99 {values['p99']:7.1f} ms"
            f"   ({figures['calls']} calls, {figures['warm_hits']} warm,"
            f" {figures['bytes_exact']} byte-exact)",
            flush=True,
        )


def main() -> None:
    """Run every case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--calls-per-s", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    found: dict[str, Any] = {}
    for arrivals, rate in (("one by one", chosen.calls_per_s), ("all at once", 0.0)):
        case = {
            name: run_demos(chosen.rounds, chosen.calls, rate, greeting=greeting)
            for name, greeting in (("with_greeting", True), ("without", False))
        }
        found[arrivals.replace(" ", "_")] = case
        if not chosen.json:
            show(arrivals, **case)
    if chosen.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
