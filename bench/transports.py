"""What does a lossy path do to audio on each transport, and what does each one cost?

Calls cross an emulated path between two network namespaces (root is needed), with each
end in a process of its own. Prints one line per loss and transport; ``--json`` prints
one object per line instead. Every case is measured ``--rounds`` times, in turn with the
others, and each figure is the median of its rounds. So is each ratio, which compares
with the baseline in the same round: a machine that others use too changes its speed.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from transport_carriers import BASELINE, COMPARED, available
from transport_report import medians, show

from backhaul.pki import Role, create_authority, issue
from lab.path import NetworkPath, PathUnavailableError, Side

END: Final = Path(__file__).with_name("transport_end.py")
PATIENCE_S: Final = 90.0
"""For what an end says next, beyond the time of talking (s)."""
LOSSES: Final = ("0", "1", "3", "3x3", "0@100", "5@200")
CONTROLS: Final = ("bbr", "cubic", "reno")


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table."""

    transport: str
    loss_percent: float
    burst: int
    calls: int
    seconds: float
    rtt_ms: float
    pki: Path

    @property
    def propagation_ms(self) -> float:
        """One way (ms)."""
        return self.rtt_ms / 2

    def end(self, side: str, address: str) -> list[str]:
        """Return the command line of one end."""
        values = {
            "transport": self.transport,
            "address": address,
            "pki": self.pki,
            "calls": self.calls,
            "loss-percent": self.loss_percent,
            "seconds": self.seconds,
            "propagation-ms": self.propagation_ms,
        }
        options = [f"--{name}={value}" for name, value in values.items()]
        return [sys.executable, str(END), side, *options]


async def measure(case: Case) -> dict[str, Any]:
    """Return the figures of one case."""
    async with NetworkPath(
        seed=1,
        delay_ms=case.propagation_ms,
        loss=case.loss_percent / 100,
        burst=case.burst,
    ) as path:
        host = path.addresses["b"]
        agent = await start(path, case, "b", "agent", host)
        port = (await read_line(agent))["port"]
        edge = await start(path, case, "a", "edge", f"{host}:{port}")
        await read_line(edge)
        control = await congestion(path)
        heard_at_edge = await read_line(edge, after_s=case.seconds)
        agent.terminate()
        heard_at_agent = await read_line(agent)
        report = await path.report()
    found = summarize(case, heard_at_edge, heard_at_agent)
    lines = report.lines.values()
    return found | {
        "congestion_control": control,
        "path_packets": sum(line.taken for line in lines),
        "path_late_p99_ms": max(line.late_p99_us for line in lines) / 1000,
        "path_overflowed": sum(line.overflowed for line in lines),
    }


async def start(
    path: NetworkPath, case: Case, place: Side, side: str, address: str
) -> Process:
    """Start one end; what it complains about is seen."""
    return await path.run_in(
        place, case.end(side, address), stdout=PIPE, log_path=Path("/dev/stderr")
    )


async def read_line(end: Process, *, after_s: float = 0.0) -> dict[str, Any]:
    """Return what an end prints next."""
    assert end.stdout is not None  # noqa: S101 - narrows the type
    async with asyncio.timeout(after_s + PATIENCE_S):
        line = await end.stdout.readline()
    if not line:
        sys.exit("bench: one end failed")
    found: dict[str, Any] = json.loads(line)
    return found


async def congestion(path: NetworkPath) -> str:
    """Return which congestion controls TCP uses at the edge, as `ss` sees it."""
    process = await path.run_in("a", ["ss", "-tinH"], stdout=PIPE)
    words = (await process.communicate())[0].decode().split()
    return "+".join(name for name in CONTROLS if name in words)


def summarize(
    case: Case, heard_at_edge: dict[str, Any], heard_at_agent: dict[str, Any]
) -> dict[str, Any]:
    """Return the figures of both ends as one row."""
    sent = heard_at_edge["sent"]
    pieces = sent + heard_at_agent["sent"]
    ends = (heard_at_edge, heard_at_agent)
    own_s = sum(end["own_cpu_s_per_piece"] * end["sent"] for end in ends)
    cpu_s = sum(end["cpu_s"] for end in ends)
    return {
        "transport": case.transport,
        "loss_percent": case.loss_percent,
        "burst": case.burst,
        "calls": case.calls,
        "p50_ms": round(heard_at_agent["p50_ms"], 2),
        "p99_ms": round(heard_at_agent["p99_ms"], 2),
        "p999_ms": round(heard_at_agent["p999_ms"], 2),
        "over_propagation_p99_ms": round(
            heard_at_agent["p99_ms"] - case.propagation_ms, 2
        ),
        "lost_percent": round(100 * (1 - heard_at_agent["received"] / sent), 4),
        "in_time_percent": round(100 * heard_at_agent["in_time"] / sent, 3),
        "whole_us_per_frame": round(cpu_s / pieces * 1e6, 2),
        "bench_us_per_frame": round(own_s / pieces * 1e6, 2),
        "doubled": heard_at_agent["doubled"] + heard_at_edge["doubled"],
        "answers_p99_ms": round(heard_at_edge["p99_ms"], 2),
        "sender_late_p99_ms": round(heard_at_edge["sender_late_p99_ms"], 2),
    }


def case_of(loss: str, transport: str, chosen: argparse.Namespace, pki: Path) -> Case:
    """Return the case that *loss* asks for: percent, x burst, @ calls."""
    figures, _, calls = loss.partition("@")
    percent, _, burst = figures.partition("x")
    return Case(
        transport=transport,
        loss_percent=float(percent),
        burst=int(burst or 1),
        calls=int(calls or chosen.calls),
        seconds=chosen.seconds,
        rtt_ms=chosen.rtt_ms,
        pki=pki,
    )


async def measure_all(chosen: argparse.Namespace, pki: Path) -> None:
    """Measure every case; all of one loss are shown when they are done."""
    for loss in chosen.losses:
        cases = {name: case_of(loss, name, chosen, pki) for name in chosen.transports}
        found = [
            {name: await measure(case) for name, case in cases.items()}
            for _ in range(chosen.rounds)
        ]
        for row in medians(found, BASELINE).values():
            print(json.dumps(row) if chosen.json else show(row), flush=True)


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--rtt-ms", type=float, default=80.0)
    parser.add_argument(
        "--losses",
        nargs="+",
        default=LOSSES,
        help="percent, percent x burst, and @ calls if not --calls: 1 3x3 5@200",
    )
    parser.add_argument(
        "--transports", nargs="+", choices=available(), default=COMPARED
    )
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        pki = Path(directory)
        create_authority(pki)
        issue(pki, Role.EDGE, "edge-1")
        issue(pki, Role.REGION_AGENT, "home")
        try:
            asyncio.run(measure_all(chosen, pki))
        except PathUnavailableError as exc:
            sys.exit(f"bench: {exc}")


if __name__ == "__main__":
    main()
