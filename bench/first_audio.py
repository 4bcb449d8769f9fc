"""How long until a caller hears the first word, with a greeting and without one.

Prints one line per case; ``--json`` prints one object. Each case is a run of the demo:
real processes, real sockets, the stand-ins' realistic latencies, all calls at once.
"""

import argparse
import json
import subprocess
import sys
from typing import Any


def run_demo(calls: int, *, greeting: bool) -> dict[str, Any]:
    """Return the figures of one demo."""
    flag = "--greeting" if greeting else "--no-greeting"
    command = [sys.executable, "-m", "lab.cli", "demo", "--no-outage", "--json"]
    done = subprocess.run(  # noqa: S603 - our own command
        [*command, "--calls", str(calls), flag], stdout=subprocess.PIPE, check=False
    )
    if not done.stdout:
        sys.exit(f"the demo failed with exit code {done.returncode}")
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def main() -> None:
    """Run both cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with_greeting = run_demo(chosen.calls, greeting=True)
    without = run_demo(chosen.calls, greeting=False)
    if chosen.json:
        print(json.dumps({"with_greeting": with_greeting, "without": without}))
        return
    rows = (
        ("with a greeting: first audio", with_greeting, "first_audio_ms"),
        ("model opens: first audio", without, "first_audio_ms"),
        ("model opens: added by the router", without, "router_added_ms"),
        ("reply after the caller's turn", with_greeting, "turn_ms"),
    )
    for name, figures, key in rows:
        values = figures[key]
        print(
            f"{name:34} p50 {values['p50']:8.1f} ms   p95 {values['p95']:8.1f} ms"
            f"   p99 {values['p99']:8.1f} ms   ({figures['calls']} calls,"
            f" {figures['warm_hits']} warm, {figures['bytes_exact']} byte-exact)"
        )


if __name__ == "__main__":
    main()
