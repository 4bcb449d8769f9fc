"""What is told about a call: its events, its record, its cost."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from aiohttp import web

from tests.integration.conversations.conftest import OpenLine

PROFILE = """
greeting = "Hello, and thank you for calling. How can I help you today?"
transcription_model = "gpt-transcribe"
[profiles.desk.events]
to = "{url}"
"""
SCRIPT = """
[[caller]]
say = "caller-2"
[[caller]]
interrupt = "caller-4"
after_s = 1.5
[[caller]]
expect_heard = "reply-3"
[[caller]]
press = "42#"
[[caller]]
expect_heard = "goodbye-1"
[[caller]]
expect_end = "twiml"
[[model]]
speak = "long-1"
[[model]]
speak = "reply-3"
[[model]]
speak = "goodbye-1"
calls = [{ name = "hang_up" }]
"""
MULAW_DOLLARS_PER_MILLION = {
    ("in", "text"): 4.0,
    ("in", "audio"): 32.0,
    ("cached", "text"): 0.4,
    ("cached", "audio"): 0.4,
    ("out", "text"): 24.0,
    ("out", "audio"): 64.0,
}


class Feed:
    """A webhook that keeps what it is told."""

    def __init__(self) -> None:
        self.url = ""
        self.events: list[dict[str, Any]] = []
        self.ended = asyncio.Event()

    async def take(self, request: web.Request) -> web.Response:
        self.events += (await request.json())["events"]
        if self.events[-1]["type"] == "call_ended":
            self.ended.set()
        return web.Response(status=204)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]


@pytest_asyncio.fixture(name="feed")
async def _feed() -> AsyncIterator[Feed]:
    feed = Feed()
    application = web.Application()
    application.router.add_post("/events", feed.take)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    feed.url = f"http://127.0.0.1:{runner.addresses[0][1]}/events"
    yield feed
    await runner.cleanup()


def cost_of(usages: list[dict[str, Any]]) -> int:
    """Return what the responses cost (billionths of a dollar), reckoned anew."""
    tokens = dict.fromkeys(MULAW_DOLLARS_PER_MILLION, 0)
    for usage in usages:
        given, made = usage["input_token_details"], usage["output_token_details"]
        cached = given["cached_tokens_details"]
        for kind in ("text", "audio"):
            name = f"{kind}_tokens"
            tokens["in", kind] += given[name] - cached[name]
            tokens["cached", kind] += cached[name]
            tokens["out", kind] += made[name]
    prices = MULAW_DOLLARS_PER_MILLION
    return sum(round(count * prices[what] * 1000) for what, count in tokens.items())


async def test_a_call_is_told_from_its_start_to_its_cost(
    answer: OpenLine, feed: Feed
) -> None:
    line = await answer(PROFILE.format(url=feed.url))
    result = await line.converse(SCRIPT)
    assert result.ok, result.problems
    async with asyncio.timeout(20):
        await feed.ended.wait()
    call_sid = result.call.call_sid
    ids = [event["event_id"] for event in feed.events]
    assert ids == [f"{call_sid}:{number}" for number in range(1, len(ids) + 1)]
    (started,) = feed.of("call_started")
    assert started["caller"] == "+14155550123"
    said = [(e["speaker"], e["text"], e["heard"]) for e in feed.of("transcript")]
    assert ("model", "Goodbye, and thank you for calling.", True) in said
    assert [heard for _, text, heard in said if text.startswith("We have three")] == [
        False
    ]
    assert any(speaker == "caller" for speaker, _, _ in said)
    (interrupted,) = feed.of("interrupted")
    (clear,) = [c for c in result.call.cleared if c.played_bytes < c.received_bytes]
    assert interrupted["heard_ms"] > 1000
    assert clear.played_bytes / 8 > interrupted["heard_ms"]
    assert [event["count"] for event in feed.of("dtmf")] == [3]

    (ended,) = feed.of("call_ended")
    (session,) = result.sessions
    assert ended["reason"] == "model_hung_up"
    assert ended["interruptions"] == 1
    assert ended["digits"] == 3
    assert ended["caller_turns"] == 2
    assert ended["model_responses"] == len(session["responses"]) == 3
    assert ended["usage"]["total_tokens"] == session["total_tokens"]
    assert ended["cost_nano_usd"] == cost_of(session["usage"])


async def test_what_was_said_is_told_to_nobody_else(
    answer: OpenLine, feed: Feed, capsys: Any
) -> None:
    line = await answer(PROFILE.format(url=feed.url) + "transcripts = false\n")
    result = await line.converse(SCRIPT)
    assert result.ok, result.problems
    async with asyncio.timeout(20):
        await feed.ended.wait()
    assert not feed.of("transcript")
    told = capsys.readouterr().out + json.dumps(feed.of("call_ended"))
    assert result.call.call_sid in told
    for secret in ("+14155550123", "three kinds", "parcel", "Goodbye", "sk-lab"):
        assert secret not in told
