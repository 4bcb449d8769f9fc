"""The Realtime stand-in: a server that speaks the GA protocol with scripted speech.

Run ``python -m lab.realtime``; it prints its addresses as one line of JSON, and takes
the keys in LAB_API_KEYS (separated by commas). In a test:
``async with RealtimeServer(RealtimeServerSettings(...)) as server``.
"""

import argparse
import asyncio
import dataclasses
import json
import os
import signal
import sys

from lab.local_voice import LocalVoice
from lab.realtime_server import RealtimeServer, RealtimeServerSettings
from lab.realtime_timeline import RealtimeLatency

__all__ = ["RealtimeLatency", "RealtimeServer", "RealtimeServerSettings", "main"]


async def _run_until_stopped(settings: RealtimeServerSettings) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with RealtimeServer(settings) as server:
        addresses = {
            "host": settings.host,
            "port": server.port,
            "url": server.url,
            "control_url": server.control_url,
        }
        sys.stdout.write(json.dumps(addresses) + "\n")
        sys.stdout.flush()
        await stopped.wait()


def main() -> None:
    """Run the stand-in until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m lab.realtime", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--control-port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--latency", choices=("none", "realistic"), default="realistic")
    parser.add_argument("--session-lifetime-s", type=float, default=3600.0)
    parser.add_argument(
        "--recalls", action="store_true", help="reply by what was said before"
    )
    parser.add_argument(
        "--voice", action="store_true", help="a real one; needs warmline[voice]"
    )
    chosen = parser.parse_args()
    settings = RealtimeServerSettings(
        host=chosen.host,
        port=chosen.port,
        control_port=chosen.control_port,
        seed=chosen.seed,
        latency=RealtimeLatency.none()
        if chosen.latency == "none"
        else RealtimeLatency(),
        recalls=chosen.recalls,
        session_lifetime_s=chosen.session_lifetime_s,
    )
    # Not an argument: every user of the machine may read those.
    if keys := os.environ.get("LAB_API_KEYS"):
        settings = dataclasses.replace(settings, api_keys=frozenset(keys.split(",")))
    if not chosen.voice:
        asyncio.run(_run_until_stopped(settings))
        return
    voice = LocalVoice.load()
    settings = dataclasses.replace(settings, minds=voice.mind)
    try:
        asyncio.run(_run_until_stopped(settings))
    finally:
        voice.close()


if __name__ == "__main__":
    main()
