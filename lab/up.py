"""``warmline up``: the local fabric, left running until it is interrupted."""

import asyncio
import signal
import sys
from collections.abc import Callable

import orjson
import uvloop
from rich.console import Console

from backhaul.errors import SettingsError, WarmlineError
from backhaul.settings import read_deployment
from lab.fabric import Fabric, FabricOptions
from lab.fabric_file import forget_fabric, remember_fabric

__all__ = ["interrupted", "run_up", "show_progress"]


def run_up(options: FabricOptions, *, json: bool) -> int:
    """Run the fabric until SIGINT or SIGTERM; return the exit code."""
    problems = options.problems()
    try:
        read_deployment(options.config)
    except SettingsError as exc:
        problems += exc.problems
    if problems:
        sys.stderr.writelines(f"{line}\n" for line in problems)
        return 2
    return uvloop.run(_up(options, json=json))


async def _up(options: FabricOptions, *, json: bool) -> int:
    try:
        async with Fabric(options, on_progress=show_progress()) as fabric:
            line = orjson.dumps(fabric.describe()).decode()
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
            remember_fabric(fabric.describe())
            if not json:
                _explain(fabric)
            await interrupted()
    except WarmlineError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    finally:
        forget_fabric()
    return 0


async def interrupted() -> None:
    """Wait for SIGINT or SIGTERM."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, event.set)
    await event.wait()


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
        f"  warmline call --edge {edge['public_url']} --save heard.wav\n"
        f"  warmline call --edge {edge['public_url']} "
        "--script examples/conversations/question.toml",
        highlight=False,
        soft_wrap=True,
    )
    console.print("Ctrl-C stops everything.", highlight=False)
