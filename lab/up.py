"""``warmline up``: the local fabric, left running until it is interrupted."""

import sys
from collections.abc import Mapping
from typing import Any

import orjson
import uvloop
from rich.console import Console

from backhaul.errors import SettingsError, WarmlineError
from backhaul.settings import read_deployment
from lab.console import console_of
from lab.fabric import Fabric, FabricOptions
from lab.fabric_file import forget_fabric, remember_fabric
from lab.terminal import show_progress, told_to_stop

__all__ = ["run_up"]


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
        async with (
            Fabric(options, on_progress=show_progress()) as fabric,
            console_of(fabric) as console,
        ):
            # Whoever reads the line may end this at once.
            stopped = told_to_stop()
            described = {**fabric.describe(), "console_url": console.url}
            line = orjson.dumps(described).decode()
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
            remember_fabric(described)
            if not json:
                _explain(described)
            await stopped.wait()
    except WarmlineError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    finally:
        forget_fabric()
    return 0


def _explain(described: Mapping[str, Any]) -> None:
    console = Console(stderr=True)
    edge = described["edges"][0]
    console.print(
        f"\nReady. See it, talk to it, break it:\n  {described['console_url']}\n"
        "In another shell:",
        highlight=False,
        soft_wrap=True,
    )
    console.print(
        f"  warmline call --edge {edge['public_url']} --save heard.wav\n"
        f"  warmline call --edge {edge['public_url']} "
        "--script examples/conversations/question.toml",
        highlight=False,
        soft_wrap=True,
    )
    console.print("Ctrl-C stops everything.", highlight=False)
