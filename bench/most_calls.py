"""How many calls does a system carry before it is late, with so much processor time?

Every process of a system gets the same share of a core, as a container does, and what
places and answers the calls gets the rest of the machine, so that it is the system that
comes to its limit first: look at what the bench itself took, and how late it was. The
load is doubled until audio is late (p99 over 20 ms, either way), calls fail or frames
are lost; then the limit is looked for between that load and the one before. Needs root.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import uvloop
from load_search import next_load
from peers_bed import FailedRunError, MissingPeerError
from peers_case import Case, measure
from peers_report import in_time, machine, show
from peers_share import CannotHoldError
from peers_systems import SYSTEMS

_COMPARED: Final = ("plain", "warmline-websocket", "warmline-http2", "warmline-quic")
"""Those that carry more than a few calls, and come to their limit before the bench."""
_CALLS_PER_S_AND_CORE: Final = 40.0


async def climb(label: str, chosen: argparse.Namespace) -> dict[str, Any]:
    """Return the most calls that a system carried, and all that was measured for it.

    Raises:
        MissingPeerError: If the system cannot be had.
    """
    tried: dict[int, bool] = {}
    rows: list[dict[str, Any]] = []
    while (load := next_load(tried)) is not None:
        for _ in range(chosen.tries):
            row = await measure_load(label, load, chosen)
            if row is not None:
                out = sys.stderr if chosen.json else sys.stdout
                print(show(row), file=out, flush=True)
                rows.append(row)
            tried[load] = row is not None and in_time(row)
            if tried[load]:
                break
    most = max((load for load, carried in tried.items() if carried), default=0)
    return {"system": label, "most_calls": most, "runs": rows}


async def measure_load(
    label: str, calls: int, chosen: argparse.Namespace
) -> dict[str, Any] | None:
    """Return the figures of one load; None, and a line that says why, if it broke."""
    case = Case(
        system=SYSTEMS[label],
        tls=chosen.tls == "on",
        calls=calls,
        seconds=chosen.seconds,
        carriers=2,
        calls_per_s=_CALLS_PER_S_AND_CORE * chosen.cores_each,
        cores_each=chosen.cores_each,
    )
    try:
        with tempfile.TemporaryDirectory() as directory:
            return await measure(case, Path(directory))
    except FailedRunError as exc:
        print(f"bench: {label} with {calls} calls failed: {exc}", file=sys.stderr)
    return None


async def compare(chosen: argparse.Namespace) -> dict[str, Any]:
    """Return what each system carried."""
    where = machine()
    found = []
    for label in chosen.systems:
        try:
            found.append(await climb(label, chosen))
        except MissingPeerError as exc:
            print(f"bench: {label} is skipped: {exc}", file=sys.stderr)
    return {
        "machine": where,
        "cores_each": chosen.cores_each,
        "tls": chosen.tls == "on",
        "systems": found,
    }


def share(text: str) -> float:
    """Return a share of a core.

    Raises:
        ValueError: If it is none.
    """
    found = float(text)
    if not 0.01 <= found <= 1:  # noqa: PLR2004 - a hundredth, and all of it
        raise ValueError(text)
    return found


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--systems", nargs="+", choices=_COMPARED, default=_COMPARED)
    parser.add_argument(
        "--cores-each", type=share, default=0.4, help="per process, at most 1"
    )
    parser.add_argument("--tls", choices=("off", "on"), default="on")
    parser.add_argument("--seconds", type=float, default=7.0)
    parser.add_argument(
        "--tries",
        type=int,
        default=2,
        choices=range(1, 10),
        metavar="N",
        help="a load is carried if one of so many is in time",
    )
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    try:
        found = uvloop.run(compare(chosen))
    except CannotHoldError as exc:
        sys.exit(f"bench: processes cannot be held to a share of a core: {exc}")
    if chosen.json:
        print(json.dumps(found))
        return
    for one in found["systems"]:
        print(f"{one['system']:20} carries {one['most_calls']:4} calls")


if __name__ == "__main__":
    main()
