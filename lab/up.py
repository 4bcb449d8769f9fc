"""``warmline up``: the local fabric, left running until it is interrupted."""

import asyncio
import signal
import sys
from collections.abc import Callable

import orjson
import uvloop
from rich.console import Console

from backhaul.errors import WarmlineError
from lab.fabric import Fabric, FabricOptions

__all__ = ["interrupted", "run_up", "show_progress"]


def run_up(options: FabricOptions, *, json: bool) -> int:
    """Run the fabric until SIGINT or SIGTERM; return the exit code."""
    if problems := options.problems():
        sys.stderr.writelines(f"{line}\n" for line in problems)
        return 2
    return uvloop.run(_up(options, json=json))


async def _up(options: FabricOptions, *, json: bool) -> int:
    stop = interrupted()
    try:
        async with Fabric(options, on_progress=show_progress()) as fabric:
            line = orjson.dumps(fabric.describe()).decode()
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
            if not json:
                _explain(fabric)
            await stop.wait()
    except WarmlineError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    return 0


def interrupted() -> asyncio.Event:
    """Return an event that SIGINT or SIGTERM sets."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, event.set)
    return event


def show_progress() -> Callable[[str], None]:
    """Return a function that shows on stderr what the fabric is starting."""
    console = Console(stderr=True)

    def show(what: str) -> None:
        console.print(f"[dim]starting[/] {what}", highlight=False)

    return show


def _explain(fabric: Fabric) -> None:
    console = Console(stderr=True)
    edge = fabric.describe()["edges"][0]
    console.print("\nReady. In another shell:", highlight=False)
    console.print(
        f"  warmline call --edge {edge['public_url']}"
        f" --auth-token {fabric.auth_token} --save heard.wav",
        highlight=False,
        soft_wrap=True,
    )
    console.print("Ctrl-C stops everything.", highlight=False)
