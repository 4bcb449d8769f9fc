"""How commands that run for a while deal with the terminal."""

import asyncio
import signal
from collections.abc import Callable

from rich.console import Console

__all__ = ["interrupted", "show_progress"]


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
