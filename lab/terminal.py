"""How commands that run for a while deal with the terminal."""

import asyncio
import signal
from collections.abc import Callable

from rich.console import Console

__all__ = ["interrupted", "show_progress", "told_to_stop"]


async def interrupted() -> None:
    """Wait for SIGINT or SIGTERM."""
    await told_to_stop().wait()


def told_to_stop() -> asyncio.Event:
    """Return what SIGINT and SIGTERM set from now on."""
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
