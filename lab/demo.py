"""``warmline demo``: real spoken calls over the local fabric, and their figures."""

import asyncio
import hashlib
import sys
from collections import Counter
from dataclasses import dataclass
from typing import Any

import orjson
import uvloop
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table

from backhaul.errors import WarmlineError
from lab.callers import plan_call
from lab.console import console_of
from lab.fabric import Fabric, FabricOptions
from lab.fabric_file import forget_fabric, remember_fabric
from lab.figures import percentiles
from lab.ledgers import Ledgers
from lab.places import Place
from lab.region_loss import RegionLoss, loss_table
from lab.speech_files import greeting_line
from lab.terminal import interrupted, show_progress
from lab.twilio import CallReport, TwilioStandIn

__all__ = ["CallOutcome", "DemoOptions", "is_exact", "run_demo", "summarize"]

_TURNS = 2
_MAX_CALLS = 500
_WHOLE_MS = 100
"""From here on, a tenth of a millisecond means nothing."""
_SPARE_SESSIONS = 1.5
"""Warm sessions per expected call: random choices are never perfectly even."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the demo does."""

    calls: int = 20
    calls_per_s: float = 5.0
    """How many begin in a second, evenly; 0: all in the same instant."""
    regions: int = 3
    agents: int = 2
    edges: int = 3
    keep: bool = False
    greeting: bool = True
    outage: bool = True

    def fabric(self) -> FabricOptions:
        """Return a fabric with enough warm sessions for all calls at once."""
        per_agent = self.calls / (min(self.edges, self.regions) * self.agents)
        return FabricOptions(
            regions=self.regions,
            agents=self.agents,
            edges=self.edges,
            warm_sessions=max(6, round(per_agent * _SPARE_SESSIONS) + 2),
            cold_line=True,
        )

    def problems(self) -> tuple[str, ...]:
        """Return one line per value that cannot be used."""
        problems = self.fabric().problems()
        if not 1 <= self.calls <= _MAX_CALLS:
            problems += (f"--calls: must be between 1 and {_MAX_CALLS}",)
        if self.calls_per_s < 0:
            problems += ("--calls-per-s: must not be negative",)
        return problems


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """One call as its caller, its edge and the model stand-in saw it."""

    region: str
    answered: bool
    warm: bool
    bytes_exact: bool
    first_audio_ms: float | None
    turn_ms: tuple[float, ...]
    caller: str
    """Where the edge thinks that the caller is."""
    handed_over: bool
    """Whether another edge had the call than the one that answered it."""
    router_added_ms: float | None
    """First audio beyond the model's own time and the way there and back; only for
    calls that the model opens."""


def run_demo(options: DemoOptions, *, json: bool) -> int:
    """Run the demo; return 0 only when every call was answered byte for byte.

    Nor may one be lost when a region is.
    """
    if problems := options.problems():
        sys.stderr.writelines(f"{line}\n" for line in problems)
        return 2
    try:
        return uvloop.run(_demo(options, json=json))
    except WarmlineError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1


async def _demo(options: DemoOptions, *, json: bool) -> int:
    async with (
        Fabric(options.fabric(), on_progress=show_progress()) as fabric,
        console_of(fabric) as console,
    ):
        sys.stderr.write(f"See it while it runs: {console.url}\n")
        if options.keep:
            remember_fabric({**fabric.describe(), "console_url": console.url})
        try:
            figures = await _acts(options, fabric, json=json)
            if options.keep:
                sys.stderr.write(
                    "The fabric goes on; Ctrl-C stops it. Talk to it, and break it:\n"
                    f"  {console.url}\n"
                )
                await interrupted()
        finally:
            forget_fabric()
    good = figures["answered"] == figures["bytes_exact"] == figures["calls"]
    outage = figures["outage"]
    kept = outage is None or outage["kept"] == outage["calls"]
    return 0 if good and kept else 1


async def _acts(options: DemoOptions, fabric: Fabric, *, json: bool) -> dict[str, Any]:
    """Have all calls answered, then a region lost; tell the figures of both."""
    called = fabric.describe()["numbers"][0 if options.greeting else 1]
    figures = summarize(await _Demo(options, fabric, called).run())
    if not json:
        Console().print(_table(figures))
        Console().print(_places(figures))
    figures["outage"] = None
    if options.outage and options.regions > 1:
        sys.stderr.write("Now a region is killed while callers talk, and healed.\n")
        loss = RegionLoss(fabric, called=called, calls=options.calls)
        figures["outage"] = await loss.run()
        if not json:
            Console().print(loss_table(figures["outage"]))
    if json:
        sys.stdout.write(orjson.dumps(figures).decode() + "\n")
    sys.stdout.flush()
    return figures


class _Demo:
    def __init__(self, options: DemoOptions, fabric: Fabric, called: str) -> None:
        self._options = options
        self._fabric = fabric
        self._called = called
        self._done = 0

    async def run(self) -> list[CallOutcome]:
        """Place all calls and return what became of them."""
        stand_in = TwilioStandIn(self._fabric.account_sid, self._fabric.auth_token)
        edges = self._fabric.edges
        callers = [edges[n % len(edges)] for n in range(self._options.calls)]
        try:
            with Live(console=Console(stderr=True), transient=True) as live:
                reports = await asyncio.gather(
                    *(
                        self._call(stand_in, edge, number, live)
                        for number, edge in enumerate(callers)
                    )
                )
        finally:
            await stand_in.aclose()
        played = greeting_line().audio if self._options.greeting else b""
        ledgers = await Ledgers.of_ended(self._fabric)
        witness = _Witness(self._fabric, played, ledgers)
        return [
            witness.judge(report, edge)
            for report, edge in zip(reports, callers, strict=True)
        ]

    async def _call(
        self, stand_in: TwilioStandIn, edge: Place, number: int, live: Live
    ) -> CallReport:
        if self._options.calls_per_s:
            await asyncio.sleep(number / self._options.calls_per_s)
        plan = plan_call(self._fabric, edge, number, called=self._called, turns=_TURNS)
        report = await stand_in.place_call(plan)
        self._done += 1
        total = self._options.calls
        live.update(f"{self._done} of {total} calls have been answered and ended")
        return report


@dataclass(frozen=True, slots=True)
class _Witness:
    """What the edges and the model stand-in know about the calls."""

    fabric: Fabric
    greeting: bytes
    """What the agent plays before the model's own audio."""
    ledgers: Ledgers

    def judge(self, report: CallReport, edge: Place) -> CallOutcome:
        call = self.ledgers.calls.get(report.call_sid, {})
        session = self.ledgers.last_session(report.call_sid)
        replies = [turn.reply_first_audio_ms for turn in report.turns]
        region = str(call.get("region", "none"))
        had_it = next(
            (one for one in self.fabric.edges if one.name == call.get("edge")), edge
        )
        return CallOutcome(
            caller=call.get("caller_state") or call.get("caller_country") or "unknown",
            handed_over=had_it is not edge,
            region=region,
            answered=report.answered and len(replies) == _TURNS and None not in replies,
            warm=bool(call.get("warm")),
            bytes_exact=is_exact(report, session, self.greeting),
            first_audio_ms=report.first_audio_ms,
            turn_ms=tuple(reply for reply in replies if reply is not None),
            router_added_ms=self._added_ms(report, session, had_it, region),
        )

    def _added_ms(
        self, report: CallReport, session: dict[str, Any], edge: Place, region: str
    ) -> float | None:
        responses: list[dict[str, Any]] = session.get("responses", [])
        place = next((p for p in self.fabric.regions if p.name == region), None)
        first_ms = report.first_audio_ms
        if self.greeting or not responses or place is None or first_ms is None:
            return None
        model_ms: float | None = responses[0].get("first_audio_ms")
        if model_ms is None:
            return None
        return first_ms - model_ms - 2 * self.fabric.delay_ms(edge, place)


def is_exact(report: CallReport, session: dict[str, Any], greeting: bytes) -> bool:
    """Tell whether every byte arrived, in order, in both directions, and no other."""
    if not session:
        return False
    sent, heard = report.sent, session["audio_in"]
    if (sent.bytes, sent.sha256) != (heard["bytes"], heard["sha256"]):
        return False
    spoken = session["audio_out"]
    received = report.received_audio
    if len(received) != len(greeting) + spoken["bytes"]:
        return False
    digest = hashlib.sha256(received[len(greeting) :]).hexdigest()
    return received.startswith(greeting) and digest == spoken["sha256"]


def summarize(outcomes: list[CallOutcome]) -> dict[str, Any]:
    """Return the figures of a set of calls."""
    per_region = {
        region: _figures([each for each in outcomes if each.region == region])
        for region in sorted({each.region for each in outcomes})
    }
    return {
        **_figures(outcomes),
        "handed_over": sum(outcome.handed_over for outcome in outcomes),
        "callers": dict(Counter(outcome.caller for outcome in outcomes).most_common()),
        "per_region": per_region,
    }


def _figures(outcomes: list[CallOutcome]) -> dict[str, Any]:
    first = [o.first_audio_ms for o in outcomes if o.first_audio_ms is not None]
    added = [o.router_added_ms for o in outcomes if o.router_added_ms is not None]
    return {
        "calls": len(outcomes),
        "answered": sum(outcome.answered for outcome in outcomes),
        "warm_hits": sum(outcome.warm for outcome in outcomes),
        "bytes_exact": sum(outcome.bytes_exact for outcome in outcomes),
        "first_audio_ms": percentiles(first),
        "turn_ms": percentiles([ms for outcome in outcomes for ms in outcome.turn_ms]),
        "router_added_ms": percentiles(added),
    }


def _table(figures: dict[str, Any]) -> Table:
    table = Table(title="Calls as their callers heard them", box=SIMPLE_HEAD)
    table.add_column("region", no_wrap=True)
    for name in ("calls", "ok", "warm", "exact"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("first audio, ms", "turn, ms"):
        table.add_column(f"{name}\np50/p95/p99", justify="right", no_wrap=True)
    for name, row in [*figures["per_region"].items(), ("all", figures)]:
        if name == "all":
            table.add_section()
        counts = (row["calls"], row["answered"], row["warm_hits"], row["bytes_exact"])
        times = (row["first_audio_ms"], row["turn_ms"])
        table.add_row(name, *map(str, counts), *map(_cell, times))
    return table


def _places(figures: dict[str, Any]) -> str:
    counts = [f"{count} in {place}" for place, count in figures["callers"].items()]
    taken = figures["handed_over"]
    return (
        f"Callers, by their numbers: {', '.join(counts)}. "
        f"{taken} taken over by the edge nearest to Twilio."
    )


def _cell(values: dict[str, float | None]) -> str:
    return "/".join(map(_shown, values.values()))


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if value < _WHOLE_MS else f"{value:.0f}"
