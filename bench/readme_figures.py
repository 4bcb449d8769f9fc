"""Measures what the README shows, one bench after the other: ``make bench``.

The short form takes five minutes on two cores: each bench measures as little as still
tells something. ``--full`` measures as long as for the README, which takes about an
hour and a half. Without root, what wants it is left out and named; the exit code is 1
if a bench fails. ``--only`` names those to run.
"""

import argparse
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backhaul.clock import monotonic_s

_HERE: Final = Path(__file__).parent
_WARMLINE: Final = Path(sys.executable).with_name("warmline")


@dataclass(frozen=True, slots=True)
class Bench:
    """One command.

    Attributes:
        shows: What it tells.
        short: Its arguments in the short form; None: the full form only.
        full: Its arguments for what the README shows.
        drill: Whether it is a drill instead of a script of this directory.
        needs_root: Whether it makes network namespaces or control groups.
    """

    shows: str
    short: str | None
    full: str
    drill: bool = False
    needs_root: bool = False

    def command(self, name: str, *, full: bool) -> list[str]:
        """Return the command line of the bench that is called *name*."""
        given = shlex.split(self.full if full else self.short or "")
        if self.drill:
            return [str(_WARMLINE), "drill", name, *given]
        return [sys.executable, str(_HERE / f"{name}.py"), *given]


BENCHES: Final = {
    "first_audio": Bench(
        "how soon callers hear the first word", "--rounds 1 --calls 10", ""
    ),
    "conversations": Bench(
        "how soon the voice stops, and what is known to be heard",
        "--interruptions 5 --calls 10",
        "",
    ),
    "tool_calls": Bench("what a call of a tool adds", "--calls 50", ""),
    "link_pool": Bench("links: acquired, and replaced", "--rounds 2", ""),
    "location": Bench("where a caller is", "--count 2000", ""),
    "router": Bench("where a call goes", "--rounds 2000", ""),
    "tracing": Bench("what traces cost", None, ""),
    "peers": Bench(
        "what a call costs, here and elsewhere",
        "--calls 50 --systems plain warmline-websocket warmline-quic --seconds 4",
        "--calls 10 100 200 400",
    ),
    "most_calls": Bench(
        "how many calls are carried in time",
        None,
        "--systems plain warmline-websocket",
        needs_root=True,
    ),
    "transports": Bench(
        "audio over paths that lose packets",
        "--seconds 3 --losses 1 --transports websocket-per-call quic websocket",
        "",
        needs_root=True,
    ),
    "short_calls": Bench("what calls leave behind", None, ""),
    "region-kill": Bench("calls whose region is killed", None, "--calls 600", True),
    "model-hang": Bench("calls whose session hangs", None, "--calls 40", True),
    "model-mute": Bench("calls whose session is mute", None, "--calls 40", True),
    "model-deaf": Bench("calls whose session is deaf", None, "--calls 40", True),
}
"""By name, in the order in which they run."""


def run(name: str, *, full: bool) -> str:
    """Run one bench in the foreground; return what is to be said of it at the end."""
    bench = BENCHES[name]
    if not full and bench.short is None:
        return "only with --full"
    if bench.needs_root and os.geteuid() != 0:
        return "needs root"
    command = bench.command(name, full=full)
    print(f"\n== {bench.shows}\n$ {shlex.join(command)}", flush=True)
    began_at = monotonic_s()
    code = subprocess.run(command, check=False).returncode  # noqa: S603 - our own
    took_s = monotonic_s() - began_at
    return f"{took_s:.0f} s" if code == 0 else f"FAILED with exit code {code}"


def main() -> None:
    """Run them all, and tell what became of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="as in the README")
    parser.add_argument("--only", nargs="+", choices=BENCHES, default=list(BENCHES))
    chosen = parser.parse_args()
    told = {name: run(name, full=chosen.full) for name in chosen.only}
    print()
    for name, outcome in told.items():
        print(f"{name:14} {outcome}")
    if any(outcome.startswith("FAILED") for outcome in told.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
