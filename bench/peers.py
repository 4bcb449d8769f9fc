"""What does a call cost here, and at what people use today, on the same machine?

The same synthetic carrier places the same calls through every system to the same fake
model, one system after the other, each part in a process of its own. On each call the
carrier sends 20 ms frames and the model speaks in deltas of 200 ms without end. Printed
are: CPU of the system's processes per call and second, the time from the carrier's
socket to the model's (caller frames) and back, resident memory per call, and ratios.

A system that is not there is skipped with a line that says why. Every case is measured
``--rounds`` times, in turn with the others, and each figure is the median.
"""

import argparse
import json
import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import Any, Final

import uvloop
from peers_bed import FailedRunError, MissingPeerError
from peers_case import Case, measure
from peers_report import machine, medians, most_carried, ratios, show, show_ratios
from peers_systems import SYSTEMS

_FULL: Final = {
    "calls": [10, 50, 100, 200, 400],
    "tls": "both",
    "seconds": 15.0,
    "rounds": 3,
    "carriers": 2,
    "calls_per_s": 40.0,
}
"""Some two hours; of three rounds one may be spoilt by a neighbour."""


async def measure_all(chosen: argparse.Namespace) -> dict[str, Any]:
    """Measure every case; return all that was found, which is kept as it grows."""
    where = machine()
    rows: dict[int, list[dict[str, Any]]] = {}
    missing: set[str] = set()
    found = report(where, chosen, rows)
    for _ in range(chosen.rounds):
        for number, case in enumerate(all_cases(chosen)):
            if case.system.label in missing:
                continue
            row = await measure_safely(case, missing)
            if row is None:
                continue
            print(show(row), file=sys.stderr if chosen.json else sys.stdout, flush=True)
            rows.setdefault(number, []).append(row)
            found = report(where, chosen, rows)
            if chosen.out:
                chosen.out.write_text(json.dumps(found, indent=1) + "\n")
    return found


async def measure_safely(case: Case, missing: set[str]) -> dict[str, Any] | None:
    """Return the figures of one case; None, and a line that says why, of none."""
    name = case.system.label
    try:
        with tempfile.TemporaryDirectory() as directory:
            return await measure(case, Path(directory))
    except MissingPeerError as exc:
        missing.add(name)
        print(f"bench: {name} is skipped: {exc}", file=sys.stderr)
    except FailedRunError as exc:
        print(f"bench: {name} with {case.calls} calls failed: {exc}", file=sys.stderr)
    return None


def report(
    where: dict[str, Any],
    chosen: argparse.Namespace,
    rows: dict[int, list[dict[str, Any]]],
) -> dict[str, Any]:
    """Return all that was found so far, as medians of the rounds."""
    runs = [medians(found) for _, found in sorted(rows.items())]
    return {
        "machine": where,
        "seconds": chosen.seconds,
        "rounds": chosen.rounds,
        "regions": chosen.regions,
        "agents": chosen.agents,
        "runs": runs,
        "ratios": ratios(runs),
        "most_carried": most_carried(runs),
    }


def all_cases(chosen: argparse.Namespace) -> list[Case]:
    """Return what was asked for, by load; nothing twice."""
    tls = {"off": (False,), "on": (True,), "both": (False, True)}[chosen.tls]
    found: dict[tuple[str, bool, int], Case] = {}
    for calls, secure, label in product(chosen.calls, tls, chosen.systems):
        system = SYSTEMS[label]
        most = min(calls, system.most_calls)
        found[label, secure, most] = Case(
            system=system,
            tls=secure,
            calls=most,
            seconds=chosen.seconds,
            carriers=chosen.carriers,
            calls_per_s=chosen.calls_per_s,
            regions=chosen.regions,
            agents=chosen.agents,
            profiles=chosen.profiles,
        )
    return list(found.values())


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, nargs="+", default=[100])
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--tls", choices=("off", "on", "both"), default="off")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--carriers", type=int, default=1, help="processes")
    parser.add_argument("--calls-per-s", type=float, default=25.0)
    parser.add_argument("--full", action="store_true", help="what the docs show")
    parser.add_argument("--profiles", type=Path, help="sample with py-spy into here")
    parser.add_argument("--regions", type=int, default=1, help="of Warmline")
    parser.add_argument("--agents", type=int, default=1, help="in each region")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path, help="write the JSON here as well")
    chosen = parser.parse_args()
    if chosen.full:
        vars(chosen).update(_FULL)
    found = uvloop.run(measure_all(chosen))
    if chosen.json:
        print(json.dumps(found))
        return
    print(*show_ratios(found["ratios"]), sep="\n")


if __name__ == "__main__":
    main()
