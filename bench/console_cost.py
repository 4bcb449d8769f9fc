"""What it costs that somebody looks on: an edge, and the console, with many calls.

Prints one line of JSON: CPU time as percent of a core, with one browser.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import time
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import orjson
from prometheus_client import CollectorRegistry

from backhaul.admin import admin_application
from backhaul.clock import monotonic_s
from backhaul.core.ceiling import Ceiling, CeilingConfig
from backhaul.http import HttpListener
from backhaul.live import LiveView
from backhaul.news import News
from backhaul.settings import Secret
from console.server import Console
from console.settings import ConsoleSettings
from console.sources import Source
from edge.call import Call
from edge.core.call_story import CallStory
from edge.live import EdgeLive

TOKEN = "a token for the bench"  # noqa: S105 - opens nothing


def a_call(number: int) -> Call:
    """Return what a row of the list is made of."""
    story = CallStory(now=0.0)
    story.stream_started(now=0.1)
    agent = SimpleNamespace(region="us-east", agent_id="us-east-1")
    return cast(
        "Call",
        SimpleNamespace(
            call_sid=f"CA{number:032x}",
            profile="front-desk",
            state=SimpleNamespace(value="bridged"),
            session=SimpleNamespace(agent=agent),
            story=story,
            started_unix_s=1_700_000_000.123456 + number,
        ),
    )


def edge_with(count: int) -> EdgeLive:
    """Return the views of an edge with *count* calls and nothing else."""
    calls = tuple(a_call(number) for number in range(count))
    place = {"name": "edge", "latitude": None, "longitude": None, "regions": {}}
    return EdgeLive(
        cast("Any", SimpleNamespace(**place)),
        links=cast("Any", SimpleNamespace(agents={})),
        calls=cast(
            "Any", SimpleNamespace(live=lambda: calls, last_ended=lambda _count: ())
        ),
        region_row=lambda _name, **_now: {},
        is_draining=lambda: False,
        ceiling=Ceiling(CeilingConfig.between(count, count)),
    )


def serve(port: Connection, count: int) -> None:
    """Be an edge with *count* calls, for a console to look at."""

    async def run() -> None:
        view = LiveView(edge_with(count).snapshot, News(), lambda _: None)
        listener = HttpListener(
            admin_application(
                token=Secret(TOKEN), registry=CollectorRegistry(), views={}, live=view
            )
        )
        await listener.start("127.0.0.1", 0)
        port.send(listener.port)
        await asyncio.sleep(3600)

    asyncio.run(run())


async def look(edge_port: int, seconds: float) -> tuple[float, int]:
    """Return the console's CPU time (percent of a core) and the bytes it sent on."""
    source = Source("edge", f"http://127.0.0.1:{edge_port}", TOKEN)
    console = Console(ConsoleSettings(token=Secret(TOKEN)), lambda: [source])
    await console.start()
    base = f"http://127.0.0.1:{console.port}"
    browser = await asyncio.create_subprocess_exec(
        *("curl", "-sN", "-b", await cookie(base), f"{base}/api/stream"),
        stdout=asyncio.subprocess.PIPE,
    )
    reading = asyncio.get_running_loop().create_task(browser.communicate())
    await asyncio.sleep(2.0)
    began, used = monotonic_s(), time.process_time()
    await asyncio.sleep(seconds)
    share = (time.process_time() - used) / (monotonic_s() - began) * 100
    browser.terminate()
    sent = len((await reading)[0])
    await console.aclose()
    return share, sent


async def cookie(base: str) -> str:
    """Log in; return the cookie."""
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{base}/login", json={"token": TOKEN}) as answer,
    ):
        return answer.headers["Set-Cookie"].partition(";")[0]


def edge_percent(count: int) -> float:
    """Return what a snapshot a second costs an edge (percent of a core)."""
    edge = edge_with(count)
    orjson.dumps(edge.snapshot())
    began = time.process_time()
    for _ in range(50):
        orjson.dumps(edge.snapshot())
    return (time.process_time() - began) / 50 * 100


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=15.0)
    chosen = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    edge = multiprocessing.Process(target=serve, args=(theirs, chosen.calls))
    edge.start()
    try:
        share, sent = asyncio.run(look(ours.recv(), chosen.seconds))
    finally:
        edge.terminate()
    figures = {
        "calls": chosen.calls,
        "console_percent_of_a_core": round(share, 2),
        "edge_percent_of_a_core": round(edge_percent(chosen.calls), 3),
        "bytes_per_s": round(sent / (chosen.seconds + 2)),
        "cores": os.cpu_count(),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
