"""Runs a service as a process: start, announce, wait for a signal, drain, stop."""

import argparse
import asyncio
import gc
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import orjson
import uvloop

from backhaul.errors import SettingsError
from backhaul.news import News
from backhaul.telemetry import configure_logging

__all__ = ["Service", "run_service", "service_parser", "show_problems"]


class Service(Protocol):
    """What a process runs."""

    async def start(self) -> None:
        """Open everything."""
        ...

    def announcement(self) -> dict[str, Any]:
        """Return what a parent process wants to know: names and ports."""
        ...

    async def drain(self) -> None:
        """Take nothing new and let what is live end, within limits."""
        ...

    async def stop(self) -> None:
        """Close everything."""
        ...


def run_service(
    make: Callable[[News], Service], *, announce: bool, log_json: bool
) -> int:
    """Run a service until SIGTERM or SIGINT; return the exit code.

    Args:
        make: Builds the service, of the news that its log makes; called on the
            running event loop.
        announce: Print the announcement as one JSON line on stdout once everything
            is open; logs then go to stderr.
        log_json: Log JSON lines; otherwise lines for people.
    """
    news = News()
    stream = sys.stderr if announce else sys.stdout
    configure_logging(json=log_json, stream=stream, news=news)
    try:
        uvloop.run(_run(lambda: make(news), announce=announce))
    except SettingsError as exc:
        return show_problems(exc)
    except OSError as exc:
        sys.stderr.write(f"cannot start: {exc}\n")
        return 1
    return 0


def show_problems(error: SettingsError) -> int:
    """Write one line per problem to stderr; return the exit code for it."""
    sys.stderr.writelines(f"{line}\n" for line in error.problems)
    return 2


def service_parser(program: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that every service has."""
    parser = argparse.ArgumentParser(prog=program, description=description)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument(
        "--check-config",
        action="store_true",
        help="print the effective settings, secrets masked, and exit",
    )
    parser.add_argument(
        "--announce",
        action="store_true",
        help="print the ports as one JSON line on stdout; logs go to stderr",
    )
    return parser


async def _run(make: Callable[[], Service], *, announce: bool) -> None:
    told_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_stop.set)
    service = make()
    try:
        await service.start()
        # What lives from here to the end need not be looked at by every collection.
        gc.collect()
        gc.freeze()
        if announce:
            line = orjson.dumps({"ready": True, **service.announcement()})
            sys.stdout.write(line.decode() + "\n")
            sys.stdout.flush()
        await told_to_stop.wait()
        await service.drain()
    finally:
        await service.stop()
