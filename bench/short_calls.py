"""Do calls leave anything behind: descriptors, tasks, memory?

A local fabric of one edge and one agent answers many short calls, some at a time: each
rings, takes a warm session, hears the greeting begin, and is hung up on. Printed are,
for edge and agent, open file descriptors and tasks of the event loop before the calls
and after them, and what the resident memory grew by, per call, over the last half of
them. Other calls come before, so that connections exist which are opened at their first
use and kept, such as those to Redis. The exit code is 0 only if descriptors and tasks
are back where they were.
``--json`` prints one object.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog
import uvloop
from services import read_metrics

from backhaul.clock import monotonic_s
from lab.fabric import Fabric, FabricOptions
from lab.twilio import CallPlan, CallReport, TwilioStandIn
from lab.twilio_plan import HangUp, Wait

CALL_S: Final = 0.3
"""How long each caller stays."""
BACK_WITHIN_S: Final = 150.0
"""Stock that was sized for many calls a second is let go within this time."""
EARLIER: Final = 10
"""Calls before the first look, for each of twice as many callers as later."""
CALM_S: Final = 30.0
"""Time for the stock to be refilled and let go after them."""
LOOK_S: Final = 1.0
ALIKE: Final = 5
"""Looks in a row at which nothing has changed, before the calls begin."""
HEARD_WITHIN_S: Final = 20.0
CONFIG: Final = """
[numbers]
"*" = "desk"
[profiles.desk]
instructions = "Answer the telephone."
greeting = "Hello, and thank you for calling. How can I help you today?"
warm_sessions = {warm}
[edge]
target_calls = 1000
[region_agent]
max_calls = {most}
target_calls = {most}
opens_per_s = 100
max_concurrent_opens = 50
"""


@dataclass(frozen=True)
class Held:
    """What a process holds."""

    descriptors: int
    tasks: int
    rss_kb: float

    def is_back(self, before: "Held") -> bool:
        """Tell whether nothing was left behind but memory."""
        return (self.descriptors, self.tasks) == (before.descriptors, before.tasks)


@dataclass
class Service:
    """An edge or agent, and what it held at each look."""

    described: Mapping[str, Any]
    before: Held
    after: Held
    looks: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    """Calls so far, and resident memory (KB)."""

    def kb_per_call(self) -> float:
        """Return what memory grew by over the last half of the calls."""
        last, last_kb = self.looks[-1]
        middle, middle_kb = next(look for look in self.looks if look[0] >= last / 2)
        return (last_kb - middle_kb) / max(last - middle, 1)


async def held(described: Mapping[str, Any]) -> Held:
    """Return what a service holds now."""
    metrics = await read_metrics(described)
    return Held(
        int(metrics["process_open_fds"]),
        int(metrics["event_loop_tasks"]),
        metrics["process_resident_memory_bytes"] / 1024,
    )


async def settled(described: Mapping[str, Any]) -> Held:
    """Return what a service holds once that has not changed for a while."""
    looks = [await held(described)]
    while len(looks) < ALIKE or any(not one.is_back(looks[-1]) for one in looks):
        looks = looks[1 - ALIKE :]
        await asyncio.sleep(LOOK_S)
        looks.append(await held(described))
    return looks[-1]


class Callers:
    """Callers who ring one after the other, some at a time."""

    def __init__(self, fabric: Fabric) -> None:
        self.heard = 0
        self._carrier = TwilioStandIn(fabric.account_sid, fabric.auth_token)
        url = fabric.public_url(fabric.edges[0])
        self._plan = CallPlan(
            webhook_url=f"{url}/twilio/voice",
            status_callback=f"{url}/twilio/status",
            from_number="+14155550123",
            to_number="+14155550100",
            steps=(Wait(CALL_S), HangUp()),
            max_duration_s=HEARD_WITHIN_S,
        )

    async def ring(self, calls: int) -> None:
        """Place so many calls, one after the other."""
        for _ in range(calls):
            report: CallReport = await self._carrier.place_call(self._plan)
            self.heard += report.first_audio_ms is not None

    async def aclose(self) -> None:
        """Hang up."""
        await self._carrier.aclose()


async def measure(calls: int, at_once: int, every: int) -> dict[str, Any]:
    """Return the figures."""
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        config = Path(directory) / "bench.toml"
        config.write_text(CONFIG.format(warm=2 * at_once, most=4 * at_once))
        options = FabricOptions(
            regions=1, agents=1, edges=1, config=config, realistic=False
        )
        fabric = await stack.enter_async_context(Fabric(options))
        told = fabric.describe()
        (edge,), (agent,) = told["edges"], told["regions"][0]["agents"]
        services = {"edge": edge, "agent": agent}
        seen: dict[str, Service] = {}
        callers = Callers(fabric)
        await asyncio.gather(*(callers.ring(EARLIER) for _ in range(2 * at_once)))
        callers.heard = 0
        await asyncio.sleep(CALM_S)
        for name, described in services.items():
            before = await settled(described)
            seen[name] = Service(described, before, before)
        began_at = monotonic_s()
        done = 0
        while done < calls:
            some = min(every, calls - done)
            shares = [some // at_once + (n < some % at_once) for n in range(at_once)]
            await asyncio.gather(*map(callers.ring, shares))
            done += some
            for service in seen.values():
                now = await held(service.described)
                service.looks.append((done, now.rss_kb))
            print(f"{done} calls", file=sys.stderr)
        took_s = monotonic_s() - began_at
        await callers.aclose()  # and its kept connections with it
        for service in seen.values():
            service.after = await back(service)
    return {
        "calls": calls,
        "heard": callers.heard,
        "calls_per_s": round(calls / took_s, 1),
        "services": {name: row(service) for name, service in seen.items()},
    }


async def back(service: Service) -> Held:
    """Return what a service holds when nothing is left of the calls, or too late."""
    give_up_at = monotonic_s() + BACK_WITHIN_S
    now = await held(service.described)
    while not now.is_back(service.before) and monotonic_s() < give_up_at:
        await asyncio.sleep(LOOK_S)
        now = await held(service.described)
    return now


def row(service: Service) -> dict[str, Any]:
    """Return one service's figures."""
    before, after = service.before, service.after
    return {
        "descriptors": [before.descriptors, after.descriptors],
        "tasks": [before.tasks, after.tasks],
        "rss_mb": [round(before.rss_kb / 1024, 1), round(after.rss_kb / 1024, 1)],
        "rss_kb_per_call": round(service.kb_per_call(), 3),
        "back": after.is_back(before),
    }


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--at-once", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    every = max(chosen.calls // 20, 1)
    found = uvloop.run(measure(chosen.calls, chosen.at_once, every))
    if chosen.json:
        print(json.dumps(found))
    else:
        print(
            f"{found['heard']} of {found['calls']} callers heard the greeting, "
            f"{found['calls_per_s']} calls a second"
        )
        for name, one in found["services"].items():
            print(
                f"{name:6} descriptors {one['descriptors'][0]} -> "
                f"{one['descriptors'][1]}  tasks {one['tasks'][0]} -> "
                f"{one['tasks'][1]}  memory {one['rss_mb'][0]} -> {one['rss_mb'][1]} MB"
                f"  {one['rss_kb_per_call']:+.3f} KB per call over the last half"
            )
    sys.exit(0 if all(one["back"] for one in found["services"].values()) else 1)


if __name__ == "__main__":
    main()
