"""Runs one region agent: ``python -m region_agent --config FILE``."""

import argparse
import asyncio
import gc
import json
import signal
import sys
from pathlib import Path

import uvloop

from backhaul.errors import SettingsError
from backhaul.settings import DeploymentFile, masked, read_deployment
from backhaul.telemetry import configure_logging
from region_agent.service import RegionAgent
from region_agent.settings import RegionAgentSettings, load_settings

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the agent until it is told to stop; return the exit code."""
    options = _parse(arguments)
    try:
        deployment = read_deployment(options.config)
        settings = load_settings(deployment)
        if options.check_config:
            sys.stdout.write(masked(settings).decode() + "\n")
            return 0
        configure_logging(
            json=settings.log_json,
            stream=sys.stderr if options.announce else sys.stdout,
        )
        uvloop.run(_run(settings, deployment, announce=options.announce))
    except SettingsError as exc:
        sys.stderr.writelines(f"{line}\n" for line in exc.problems)
        return 2
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m region_agent", description=__doc__)
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
    return parser.parse_args(arguments)


async def _run(
    settings: RegionAgentSettings, deployment: DeploymentFile, *, announce: bool
) -> None:
    told_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_stop.set)
    agent = RegionAgent(settings, deployment)
    await agent.start()
    # What lives from here to the end need not be looked at by every collection.
    gc.collect()
    gc.freeze()
    if announce:
        ports = {
            "ready": True,
            "agent_id": settings.agent_id,
            "link_port": agent.link_port,
            "admin_port": agent.admin_port,
        }
        sys.stdout.write(json.dumps(ports) + "\n")
        sys.stdout.flush()
    await told_to_stop.wait()
    await agent.drain()
    await agent.stop()


if __name__ == "__main__":
    sys.exit(main())
