"""Runs one edge: ``python -m edge --config FILE [--name NAME]``."""

import argparse
import asyncio
import gc
import signal
import sys
from pathlib import Path

import orjson
import uvloop

from backhaul.errors import SettingsError
from backhaul.settings import masked, read_deployment
from backhaul.telemetry import configure_logging
from edge.service import Edge
from edge.settings import EdgeSettings, load_settings

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the edge until it is told to stop; return the exit code."""
    options = _parse(arguments)
    try:
        settings = load_settings(read_deployment(options.config), options.name)
    except SettingsError as exc:
        sys.stderr.writelines(f"{line}\n" for line in exc.problems)
        return 2
    if options.check_config:
        sys.stdout.write(masked(settings).decode() + "\n")
        return 0
    configure_logging(
        json=settings.log_json,
        stream=sys.stderr if options.announce else sys.stdout,
    )
    uvloop.run(_run(settings, announce=options.announce))
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m edge", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--name", help="the edge's name in the file")
    parser.add_argument("--check-config", action="store_true")
    parser.add_argument(
        "--announce",
        action="store_true",
        help="print the ports as one JSON line on stdout; logs go to stderr",
    )
    return parser.parse_args(arguments)


async def _run(settings: EdgeSettings, *, announce: bool) -> None:
    told_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_stop.set)
    edge = Edge(settings)
    await edge.start()
    # What lives from here to the end need not be looked at by every collection.
    gc.collect()
    gc.freeze()
    if announce:
        ports = {
            "ready": True,
            "name": settings.name,
            "http_port": edge.http_port,
            "media_port": edge.media_port,
            "admin_port": edge.admin_port,
        }
        sys.stdout.write(orjson.dumps(ports).decode() + "\n")
        sys.stdout.flush()
    await told_to_stop.wait()
    await edge.drain()
    await edge.stop()


if __name__ == "__main__":
    sys.exit(main())
