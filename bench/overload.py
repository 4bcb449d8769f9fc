"""What becomes of calls when twice as many come as there is room for?

A local fabric of two regions, each of one agent. Either these take so many calls and no
more, behind one edge (``--full agents``), or each of two edges does (``--full edges``),
of which the first one gets all calls. First as many callers come as both take together,
then twice as many. Printed are, for each: how many heard the voice, how many the
fallback's script, and how many neither; when they heard the first sound; when the voice
replied, and how much of its speech came late, for those who were let in; and what edges
and agents counted. The exit code is 0 only if nobody heard nothing, as many were let in
as there is room for (edges know of each other's room up to a second late: within 5 %),
all of them were answered on every turn and byte for byte, and all the others were
counted. ``--json`` prints one object.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog
import uvloop
from services import read_metrics
from spoken_calls import place_calls

from lab.demo import is_exact
from lab.fabric import Fabric, FabricOptions
from lab.figures import percentiles
from lab.ledgers import Ledgers
from lab.speech_files import greeting_line
from lab.twilio import CallReport

TURNS: Final = 3
"""So many that the first call goes on when the last one begins."""
QUIET_S: Final = 5.0
"""From one case to the next: stock is whole again."""
SLACK: Final = {"agents": 0.0, "edges": 0.05}
"""What may be full, and how much more or less of the room may be used then."""
PLENTY: Final = 1000
PLACED: Final = "edge_calls_placed_total step="
OVER_CEILING: Final = "edge_calls_over_ceiling_total outcome="
REFUSED: Final = "leases_refused_total reason="
CONFIG: Final = """
[numbers]
"*" = "desk"
[profiles.desk]
instructions = "Answer the telephone."
greeting = "{greeting}"
silence = {{ after_s = 0 }}
warm_sessions = {warm}
[profiles.desk.fallback]
script = "We cannot take your call right now. Please call again in a few minutes."
[edge]
max_calls = {edge_calls}
target_calls = {edge_calls}
[region_agent]
max_calls = {agent_calls}
target_calls = {agent_calls}
opens_per_s = 100
max_concurrent_opens = 50
"""


@dataclass(frozen=True)
class Judged:
    """A call, and what its caller heard."""

    report: CallReport
    heard: str
    """``voice``, ``script`` or ``nothing``."""
    exact: bool
    """Whether the voice was answered on every turn, and all bytes arrived."""


def judge(report: CallReport, ledgers: Ledgers) -> Judged:
    """Return what became of a call."""
    session = ledgers.last_session(report.call_sid)
    if not session:
        told = any(verb.startswith("Say ") for verb in report.verbs)
        scripted = told or report.first_audio_ms is not None
        return Judged(report, "script" if scripted else "nothing", exact=False)
    replies = [turn.reply_first_audio_ms for turn in report.turns]
    whole = len(replies) == TURNS and None not in replies
    exact = whole and is_exact(report, session, greeting_line().audio)
    return Judged(report, "voice", exact)


async def counted(fabric: Fabric) -> Counter[str]:
    """Return what edge and agents have counted so far, added up."""
    told = fabric.describe()
    services = [*told["edges"], *(a for r in told["regions"] for a in r["agents"])]
    found: Counter[str] = Counter()
    for service in services:
        found.update(await read_metrics(service))
    return found


def named(counts: Mapping[str, float], prefix: str) -> dict[str, int]:
    """Return the counts whose names begin with *prefix*, by what follows."""
    return {
        key.removeprefix(prefix): round(value)
        for key, value in sorted(counts.items())
        if key.startswith(prefix) and value
    }


async def case(fabric: Fabric, calls: int) -> dict[str, Any]:
    """Return the figures of so many calls."""
    before = await counted(fabric)
    reports = await place_calls(fabric, calls, turns=TURNS)
    found = await counted(fabric)
    found.subtract(before)
    ledgers = await Ledgers.of_ended(fabric)
    judged = [judge(report, ledgers) for report in reports]
    heard = Counter(one.heard for one in judged)
    voiced = [one.report for one in judged if one.heard == "voice"]
    scripted = [one.report for one in judged if one.heard == "script"]
    return {
        "calls": calls,
        "voice": heard["voice"],
        "exact": sum(one.exact for one in judged),
        "script": heard["script"],
        "nothing": heard["nothing"],
        "first_sound_ms": {"voice": first_ms(voiced), "script": first_ms(scripted)},
        "reply_ms": percentiles(
            [
                turn.reply_first_audio_ms
                for report in voiced
                for turn in report.turns
                if turn.reply_first_audio_ms is not None
            ]
        ),
        "pauses": sum(len(report.gaps) for report in voiced),
        "stand_in_late_p99_ms": max(report.clock_late_ms_p99 for report in reports),
        "placed": named(found, PLACED),
        "refused": named(found, REFUSED),
        "over_ceiling": named(found, OVER_CEILING),
    }


def first_ms(reports: Sequence[CallReport]) -> dict[str, float | None]:
    """Return when callers heard the first sound."""
    found = [one.first_audio_ms for one in reports if one.first_audio_ms is not None]
    return percentiles(found)


def is_good(row: Mapping[str, Any], room: int, slack: float) -> bool:
    """Tell whether everybody got what was to be had, but for *slack* of the room."""
    told = sum(row["placed"].get(step, 0) for step in ("script", "say"))
    return (
        abs(row["voice"] - min(row["calls"], room)) <= slack * room
        and row["exact"] == row["voice"]
        and row["script"] == told == row["calls"] - row["voice"]
        and not row["nothing"]
    )


def deployment(full: str, most: int) -> str:
    """Return the configuration in which the agents, or the edges, take *most* calls."""
    at_agents = full == "agents"
    return CONFIG.format(
        greeting=greeting_line().text,
        warm=most if at_agents else 2 * most,
        edge_calls=PLENTY if at_agents else most,
        agent_calls=most if at_agents else PLENTY,
    )


async def measure(full: str, most: int) -> list[dict[str, Any]]:
    """Return a row for each case, of agents or edges that take *most* calls each."""
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        config = Path(directory) / "bench.toml"
        config.write_text(deployment(full, most))
        edges = 1 if full == "agents" else 2
        options = FabricOptions(regions=2, agents=1, edges=edges, config=config)
        fabric = await stack.enter_async_context(Fabric(options))
        rows: list[dict[str, Any]] = []
        for factor in (1, 2):
            rows.append(await case(fabric, 2 * most * factor))
            await asyncio.sleep(QUIET_S)
        return rows


def show(row: Mapping[str, Any]) -> str:
    """Return a row as text."""
    first, reply = row["first_sound_ms"], row["reply_ms"]
    placed, refused, over_ceiling = (
        ", ".join(f"{name} {count}" for name, count in row[key].items()) or "none"
        for key in ("placed", "refused", "over_ceiling")
    )
    script_ms = first["script"]["p99"]
    script = f", script p99 {script_ms:.0f} ms" if script_ms is not None else ""
    return (
        f"{row['calls']:4} calls: {row['voice']} heard the voice ({row['exact']} on"
        f" every turn, byte for byte), {row['script']} the script, {row['nothing']}"
        f" nothing\n     first sound: voice p50 {first['voice']['p50']:.1f}"
        f" p99 {first['voice']['p99']:.1f} ms{script};"
        f" reply p50 {reply['p50']:.0f} p99 {reply['p99']:.0f} ms;"
        f" {row['pauses']} pauses in its speech;"
        f" stand-in late p99 {row['stand_in_late_p99_ms']:.0f} ms\n"
        f"     placed: {placed}; leases refused: {refused};"
        f" over an edge's ceiling: {over_ceiling}"
    )


def main() -> int:
    """Measure; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", choices=SLACK, default="agents")
    parser.add_argument("--most", type=int, default=20, help="calls of each of those")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    rows = uvloop.run(measure(chosen.full, chosen.most))
    if chosen.json:
        print(json.dumps(rows))
    else:
        print("\n".join(show(row) for row in rows))
    room = 2 * chosen.most
    return 0 if all(is_good(row, room, SLACK[chosen.full]) for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
