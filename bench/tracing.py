"""What does it cost to trace every call, and does a call notice a collector that hangs?

Local fabrics of one edge and one agent each, all in processes of their own: one that
traces nothing, one with a collector, one whose collector takes connections and never
answers. All answer the same spoken calls at the same time, so that whatever else the
machine has to do slows them alike, round after round. Printed are, over all rounds: CPU
of edge and agent together, per call, and its ratio to the one without traces in the
same round (median); when callers heard the first sound and the reply; how late the
event loops were, and the stand-in itself with its own frames (when that is much, the
machine is too small for the calls, and nothing else in the row counts); and what became
of the spans.

Beside the ratio stands what it should be: spans of a call, times what making and
sending one costs in this process between the rounds, over the CPU of a call. ``--json``
prints one object.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog
import uvloop
from aiohttp import web
from services import read_metrics
from span_export import cost_us, traced
from spoken_calls import place_calls

from lab.fabric import Fabric, FabricOptions
from lab.figures import percentile
from lab.twilio import CallReport

TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
SETTLE_S: Final = 4.0
"""From the last hang-up until the spans of all calls have left."""
TURNS: Final = 2
CONFIG: Final = """
[numbers]
"*" = "desk"
[profiles.desk]
instructions = "Answer the telephone."
greeting = "Hello, and thank you for calling. How can I help you today?"
silence = {{ after_s = 0 }}
warm_sessions = {warm}
[edge]
target_calls = 1000
[region_agent]
max_calls = {most}
target_calls = {most}
opens_per_s = 100
max_concurrent_opens = 50
"""


async def collect(port: int, *, answer: bool) -> None:
    """Be a collector, until killed."""

    async def take(request: web.Request) -> web.Response:
        await request.read()
        if not answer:
            await asyncio.Event().wait()
        return web.Response(content_type="application/x-protobuf")

    application = web.Application(client_max_size=1 << 26)
    application.router.add_post("/v1/traces", take)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


@dataclass
class Way:
    """One fabric, and what was measured on it."""

    name: str
    fabric: Fabric
    endpoint: str
    """Its collector; empty: it has none."""
    cpu_ms: list[float] = field(default_factory=list[float])
    """For each round, CPU of edge and agent per call."""
    reports: list[CallReport] = field(default_factory=list[CallReport])
    span_us: list[float] = field(default_factory=list[float])
    """For each round, what a span costs."""

    def cpu_ticks(self) -> int:
        """Return what edge and agent have used so far."""
        (edge,), (region,) = self.fabric.edges, self.fabric.regions
        names = (edge.name, f"{region.name}-1")
        return sum(_ticks(self.fabric.pid(name)) for name in names)

    async def round(self, calls: int) -> None:
        """Answer *calls* calls."""
        before = self.cpu_ticks()
        self.reports += await place_calls(self.fabric, calls, turns=TURNS)
        await asyncio.sleep(SETTLE_S)
        used_s = (self.cpu_ticks() - before) / TICKS_PER_S
        self.cpu_ms.append(used_s / calls * 1000)

    async def metrics(self) -> Mapping[str, float]:
        """Return what edge and agent tell of themselves, added up."""
        told = self.fabric.describe()
        services = [*told["edges"], *(a for r in told["regions"] for a in r["agents"])]
        found: Counter[str] = Counter()
        for service in services:
            found.update(await read_metrics(service))
        return found


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def lag_p99_ms(metrics: Mapping[str, float]) -> float:
    """Return the bound of the bucket that holds the 99th percentile (ms)."""
    prefix = "event_loop_lag_seconds_bucket le="
    buckets = sorted(
        (float(key.removeprefix(prefix)), count)
        for key, count in metrics.items()
        if key.startswith(prefix)
    )
    whole = buckets[-1][1]
    return next(bound for bound, count in buckets if count >= 0.99 * whole) * 1000


async def figures(way: Way, base: Way) -> dict[str, Any]:
    """Return a row."""
    metrics = await way.metrics()
    first = [r.first_audio_ms for r in way.reports if r.first_audio_ms is not None]
    replies = [
        turn.reply_first_audio_ms
        for report in way.reports
        for turn in report.turns
        if turn.reply_first_audio_ms is not None
    ]
    spans = {
        outcome: metrics.get(f"trace_spans_total outcome={outcome}", 0.0)
        for outcome in ("exported", "dropped", "failed")
    }
    per_call = spans["exported"] / len(way.reports)
    cost_ms = statistics.median(way.span_us or [0.0]) / 1000 * per_call
    cpu_ms = statistics.median(way.cpu_ms)
    ratios = [one / other for one, other in zip(way.cpu_ms, base.cpu_ms, strict=True)]
    return {
        "calls": len(way.reports),
        "answered": sum(report.answered for report in way.reports),
        "cpu_ms_per_call": cpu_ms,
        "cpu_ratio": statistics.median(ratios),
        "cpu_ratios": [round(ratio, 3) for ratio in ratios],
        "first_audio_ms": {p: percentile(first, p) for p in (50, 99)},
        "reply_ms": {p: percentile(replies, p) for p in (50, 99)},
        "loop_lag_p99_ms_at_most": lag_p99_ms(metrics),
        "cpu_share": cost_ms / cpu_ms,
        "spans": spans,
        "spans_per_call": per_call,
        "us_per_span": statistics.median(way.span_us) if way.span_us else None,
        "stand_in_late_p99_ms": max(r.clock_late_ms_p99 for r in way.reports),
    }


async def measure(chosen: argparse.Namespace) -> dict[str, Any]:
    """Return all rows."""
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        config = Path(directory) / "bench.toml"
        most = chosen.calls + 20
        config.write_text(CONFIG.format(warm=chosen.calls, most=most))
        ways: list[Way] = []
        for name in ("off", *chosen.ways):
            told: dict[str, Any] = {}
            if name != "off":
                told = {"otlp_endpoint": await collector(stack, hangs=name == "hangs")}
            options = FabricOptions(
                regions=1,
                agents=1,
                edges=1,
                config=config,
                realistic=False,
                overrides={"edge": told, "region_agent": told},
            )
            fabric = await stack.enter_async_context(Fabric(options))
            ways.append(Way(name, fabric, told.get("otlp_endpoint", "")))
        for number in range(chosen.rounds):
            await asyncio.gather(*(way.round(chosen.calls) for way in ways))
            for way in ways:
                if way.endpoint:
                    way.span_us.append(await span_cost_us(way.endpoint))
            used = (f"{way.name} {way.cpu_ms[-1]:.1f} ms/call" for way in ways)
            print(f"round {number + 1}:", *used, file=sys.stderr)
        return {way.name: await figures(way, ways[0]) for way in ways}


async def span_cost_us(endpoint: str) -> float:
    """Return the process time (us) of a span, its export included."""
    make, end = traced(endpoint)
    cost = await cost_us(make)
    await end()
    return cost


async def collector(stack: AsyncExitStack, *, hangs: bool) -> str:
    """Start a collector in a process of its own; return its endpoint."""
    port = random.randint(20_000, 30_000)  # noqa: S311 - any free one
    mode = "--hang" if hangs else "--collect"
    command = (sys.executable, __file__, mode, str(port))
    process = await asyncio.create_subprocess_exec(*command)

    async def stop() -> None:
        process.kill()
        await process.wait()

    stack.push_async_callback(stop)
    return f"http://127.0.0.1:{port}"


def main() -> None:
    """Measure, or be a collector."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=40, help="of each fabric")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument(
        "--ways", nargs="+", choices=("on", "hangs"), default=("on", "hangs")
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--collect", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--hang", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.collect or chosen.hang:
        port = chosen.collect or chosen.hang
        uvloop.run(collect(port, answer=bool(chosen.collect)))
        return
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    rows = uvloop.run(measure(chosen))
    if chosen.json:
        print(json.dumps(rows))
        return
    for name, row in rows.items():
        first, reply, spans = row["first_audio_ms"], row["reply_ms"], row["spans"]
        print(
            f"{name:6} {row['answered']}/{row['calls']} calls  "
            f"CPU {row['cpu_ms_per_call']:6.1f} ms/call  x {row['cpu_ratio']:.3f} "
            f"(by account {row['cpu_share']:.2%})  "
            f"first audio p50 {first[50]:5.1f} p99 {first[99]:6.1f} ms  "
            f"reply p50 {reply[50]:5.0f} p99 {reply[99]:5.0f} ms  "
            f"loop late p99 <= {row['loop_lag_p99_ms_at_most']:g} ms  "
            f"stand-in late p99 {row['stand_in_late_p99_ms']:.0f} ms  "
            f"spans {spans['exported']:.0f} sent, "
            f"{spans['dropped'] + spans['failed']:.0f} lost"
        )


if __name__ == "__main__":
    main()
