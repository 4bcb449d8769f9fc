"""What does the router add to a conversation: interruptions, hang-ups, cost?

Everything runs in this process over real sockets: callers, an edge, an agent, a model.
Interruptions: from the moment the model's server hears the caller until the caller's
telephone is silent, and how far what the conversation keeps as heard is from what was
played. Hang-ups: the model says goodbye and hangs up; no call may lose a byte of it.
Cost: of the hang-up calls, as the event feed tells it and as the model's ledger does.
"""

import argparse
import asyncio
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog
import uvloop
from aiohttp import web

from lab.figures import percentiles
from lab.model_script import ModelCall, ModelScript, ModelTurn
from lab.realtime_record import SessionRecord
from lab.speech_files import load_line
from lab.telephone_line import TelephoneLine, open_line
from lab.twilio_plan import CallPlan, ExpectEnd, Step, Turn
from lab.twilio_report import CallReport

BYTES_PER_MS = 8
PROFILE = """
caller_speaks_first = true
warm_sessions = {at_once}
silence = {{ after_s = 0 }}
length = {{ max_s = 0 }}
events = {{ to = "{url}" }}
"""
NANO_USD_PER_TOKEN = {
    "in": (4_000, 32_000),
    "cached": (400, 400),
    "out": (24_000, 64_000),
}
"""List prices of text and audio, gpt-realtime-2.1."""


class Feed:
    """Takes the events of the calls."""

    def __init__(self) -> None:
        self.ends: dict[str, dict[str, Any]] = {}
        self.told = asyncio.Event()

    async def take(self, request: web.Request) -> web.Response:
        """Keep the records of calls that ended."""
        for event in (await request.json())["events"]:
            if event["type"] == "call_ended":
                self.ends[event["call_sid"]] = event
        self.told.set()
        return web.Response(status=204)

    async def serve(self) -> tuple[web.AppRunner, str]:
        """Listen; return the URL."""
        application = web.Application()
        application.router.add_post("/", self.take)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/"


async def call(line: TelephoneLine, *steps: Step, max_s: float) -> CallReport:
    """Place a call."""
    plan = CallPlan(
        webhook_url=line.webhook_url,
        from_number="+14155550123",
        to_number="+14155550100",
        steps=steps,
        waits_for_opening=False,
        max_duration_s=max_s,
    )
    return await line.carrier.place_call(plan)


async def interrupt(line: TelephoneLine, count: int) -> dict[str, Any]:
    """Interrupt *count* times in one call; return the figures."""
    line.model.scripts.add(ModelScript((ModelTurn(speak="long-1"),) * (count + 1)))
    stop = load_line("caller-stop").audio
    report = await call(
        line,
        Turn(load_line("caller-2").audio),
        *(Turn(stop, 1.0 + 0.17 * (number % 7)) for number in range(count)),
        max_s=30 + count * 15,
    )
    (session,) = [one for one in line.model.sessions if one.script]
    facts = session.wire()
    spoke_at = [turn["started_at"] for turn in facts["turns"]]
    silent_at: list[float] = []
    heard_ms: list[float] = []
    passed = 0
    for clear in report.cleared:
        if clear.played_bytes < clear.received_bytes:
            silent_at.append(report.started_at + clear.at_ms / 1000)
            heard_ms.append((clear.played_bytes - passed) / BYTES_PER_MS)
        passed = clear.received_bytes
    kept_ms = [i["truncated_ms"][0] for i in facts["items"] if i["truncated_ms"]]
    delays = [(at - max(t for t in spoke_at if t <= at)) * 1000 for at in silent_at]
    errors = [abs(a - b) for a, b in zip(kept_ms, heard_ms, strict=True)]
    return {
        "interruptions": len(delays),
        "added_ms": percentiles(delays),
        "heard_error_ms": percentiles(errors),
        "heard_error_ms_max": round(max(errors), 1),
    }


async def hang_up(
    line: TelephoneLine, feed: Feed, count: int, at_once: int
) -> dict[str, Any]:
    """Let the model end *count* calls; return how many kept their last word."""
    script = ModelScript((ModelTurn(speak="goodbye-1", calls=(ModelCall("hang_up"),)),))
    known = {one.session_id for one in line.model.sessions if one.heard.byte_count}
    reports: list[CallReport] = []
    for first in range(0, count, at_once):
        batch = min(at_once, count - first)
        await line.wait_ready()
        line.model.scripts.add(script, calls=batch)
        question = Turn(load_line("caller-6").audio)
        steps = (question, ExpectEnd("twiml"))
        calls = (call(line, *steps, max_s=60) for _ in range(batch))
        reports += await asyncio.gather(*calls)
    async with asyncio.timeout(30):
        while not all(report.call_sid in feed.ends for report in reports):
            await feed.told.wait()
            feed.told.clear()
    goodbye = load_line("goodbye-1").audio
    whole = [r for r in reports if r.voice.endswith(goodbye) and r.ended_by == "twiml"]
    sessions = [
        one
        for one in line.model.sessions
        if one.heard.byte_count and one.session_id not in known
    ]
    told = [feed.ends[report.call_sid] for report in reports]
    return {
        "calls": len(reports),
        "last_word_whole": len(whole),
        "tokens_told": sum(end["usage"]["total_tokens"] for end in told),
        "tokens_in_ledger": sum(one.wire()["total_tokens"] for one in sessions),
        "nano_usd_told": sum(end["cost_nano_usd"] for end in told),
        "nano_usd_reckoned": reckon(sessions),
    }


def reckon(sessions: Sequence[SessionRecord]) -> int:
    """Return what the sessions cost (billionths of a dollar), from their ledger."""
    total = 0
    for usage in (usage for one in sessions for usage in one.usage):
        given, made = usage["input_token_details"], usage["output_token_details"]
        cached = given["cached_tokens_details"]
        for index, kind in enumerate(("text_tokens", "audio_tokens")):
            total += (given[kind] - cached[kind]) * NANO_USD_PER_TOKEN["in"][index]
            total += cached[kind] * NANO_USD_PER_TOKEN["cached"][index]
            total += made[kind] * NANO_USD_PER_TOKEN["out"][index]
    return total


async def measure(chosen: argparse.Namespace) -> dict[str, Any]:
    """Return all figures."""
    feed = Feed()
    runner, url = await feed.serve()
    with tempfile.TemporaryDirectory() as directory:
        profile = PROFILE.format(url=url, at_once=chosen.at_once)
        async with open_line(Path(directory), profile) as line:
            figures = {
                "interruptions": await interrupt(line, chosen.interruptions),
                "hang_ups": await hang_up(line, feed, chosen.calls, chosen.at_once),
            }
    await runner.cleanup()
    return figures


def main() -> None:
    """Run both cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--interruptions", type=int, default=20)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--at-once", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    figures = uvloop.run(measure(chosen))
    if chosen.json:
        print(json.dumps(figures))
        return
    for name, values in figures.items():
        print(name)
        for key, value in values.items():
            print(f"  {key:20} {value}")


if __name__ == "__main__":
    main()
