"""What does a span cost, and does its export make the event loop late?

Makes spans at a fixed rate on a uvloop event loop and sends them to a collector in
another process, while a timer tells how late the loop is; idle first. The cost of a
span is the time of the whole process, export included, when it does nothing else.
``--json`` prints one object.
"""

import argparse
import asyncio
import contextlib
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import uvloop
from aiohttp import web

from backhaul.clock import monotonic_s
from backhaul.core.span_names import SpanName
from backhaul.otlp_target import OtlpTarget
from backhaul.settings import Secret
from backhaul.tracing import Tracer
from lab.figures import percentile

TICK_S: Final = 0.002
ROUNDS: Final = 200
PER_ROUND: Final = 10
PAUSE_S: Final = 0.05
FACTS: Final = {
    "warmline.turn.number": 3,
    "warmline.turn.kind": "reply",
    "warmline.turn.outcome": "answered",
    "warmline.turn.responses": 1,
    "warmline.turn.failed_responses": 0,
    "warmline.turn.retries": 0,
    "warmline.turn.tools": 0,
    "warmline.turn.first_audio_ms": 512.25,
}

MakeSpan = Callable[[], None]


async def collect(port: int) -> None:
    """Take whatever comes, until killed."""

    async def take(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(content_type="application/x-protobuf")

    application = web.Application(client_max_size=1 << 26)
    application.router.add_post("/v1/traces", take)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


def traced(endpoint: str) -> tuple[MakeSpan, Callable[[], Awaitable[None]]]:
    """Return what makes a span, and what ends it."""
    tracer = Tracer(
        OtlpTarget.of(endpoint, Secret("")),
        {"service.name": "bench"},
        ratio=1.0,
    )
    trace = tracer.begin()

    def make() -> None:
        now = monotonic_s()
        trace.add(SpanName.TURN, now - 1.0, now, dict(FACTS))

    return make, tracer.aclose


async def lateness(make: MakeSpan | None, rate: float, seconds: float) -> list[float]:
    """Return how late the loop was each time it was asked (ms)."""
    late_ms: list[float] = []
    began = due = monotonic_s()
    made = 0
    while (now := monotonic_s()) < began + seconds:
        late_ms.append((now - due) * 1000)
        while make is not None and made < rate * (now - began):
            make()
            made += 1
        due = max(due + TICK_S, now)
        await asyncio.sleep(due - monotonic_s())
    return late_ms


async def cost_us(make: MakeSpan) -> float:
    """Return the process time of a span (us), the loop having nothing else to do."""
    cpu = time.process_time()
    for _ in range(ROUNDS):
        for _ in range(PER_ROUND):
            make()
        await asyncio.sleep(PAUSE_S)
    await asyncio.sleep(2)
    return (time.process_time() - cpu) / (ROUNDS * PER_ROUND) * 1e6


def shown(late_ms: list[float], cost: float | None) -> dict[str, Any]:
    """Return a row of the table."""
    return {
        "late_p99_ms": percentile(late_ms, 99),
        "late_p999_ms": percentile(late_ms, 99.9),
        "late_max_ms": max(late_ms),
        "us_per_span": cost,
    }


async def measure(chosen: argparse.Namespace) -> dict[str, Any]:
    """Return the figures, idle and traced."""
    port = random.randint(20_000, 30_000)  # noqa: S311 - any free one
    command = (sys.executable, __file__, "--collect", str(port))
    collector = await asyncio.create_subprocess_exec(*command)
    await asyncio.sleep(2)
    endpoint = f"http://127.0.0.1:{port}"
    try:
        idle = await lateness(None, 0, chosen.seconds)
        make, end = traced(endpoint)
        late_ms = await lateness(make, chosen.rate, chosen.seconds)
        figures = {
            "idle": shown(idle, None),
            "traced": shown(late_ms, await cost_us(make)),
        }
        await end()
    finally:
        collector.kill()
        await collector.wait()
    return figures


def main() -> None:
    """Measure, or collect."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=100.0, help="spans a second")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--collect", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.collect:
        with contextlib.suppress(KeyboardInterrupt):
            uvloop.run(collect(chosen.collect))
        return
    figures = uvloop.run(measure(chosen))
    if chosen.json:
        print(json.dumps(figures))
        return
    for name, row in figures.items():
        cost = row["us_per_span"]
        told = "" if cost is None else f"{cost:6.0f} us/span"
        print(
            f"{name:18} late p99 {row['late_p99_ms']:5.1f} ms  "
            f"p99.9 {row['late_p999_ms']:5.1f}  max {row['late_max_ms']:5.1f}  {told}"
        )


if __name__ == "__main__":
    main()
