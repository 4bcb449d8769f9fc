"""Event feeds against a webhook server and a Redis that both have bad days."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from backhaul.clock import monotonic_s
from backhaul.core.backoff import Backoff
from backhaul.core.messages import CloseReason
from backhaul.core.profile import EventFeed, Profile
from backhaul.errors import SettingsError
from region_agent.core.call_events import (
    CallEvent,
    CallStamps,
    Interrupted,
    Speaker,
    ToolCalled,
    TranscriptSaid,
)
from region_agent.core.call_record import CallRecord
from region_agent.core.outbox import OutboxConfig
from region_agent.event_feeds import EventFeeds, FeedCounters

Wait = Callable[..., Awaitable[None]]
Json = dict[str, Any]

HASTY = OutboxConfig(interval_s=0.01, backoff=Backoff(first_s=0.02, max_s=0.05))
NEVER_BY_ITSELF = OutboxConfig(interval_s=3600.0)
ENVIRON = {"FEED_TOKEN": "hush-hush"}


@dataclass
class Hook:
    """A webhook server; answers as told, then 204."""

    url: str = ""
    answers: list[str] = field(default_factory=list)
    down: bool = False
    requests: list[tuple[str, list[Json]]] = field(default_factory=list)
    accepted: list[Json] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    stray: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def on_post(self, request: web.Request) -> web.StreamResponse:
        events = (await request.json())["events"]
        self.headers = dict(request.headers)
        self.requests.append((request.headers["Idempotency-Key"], events))
        answer = self.answers.pop(0) if self.answers else ""
        if answer == "hang" or self.down:
            await self.released.wait()
            raise web.HTTPServiceUnavailable
        if answer == "500":
            raise web.HTTPInternalServerError
        if answer == "redirect":
            raise web.HTTPTemporaryRedirect("/elsewhere")
        self.accepted += events
        if answer == "lost answer":
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=204)

    async def on_stray(self, _: web.Request) -> web.Response:
        self.stray += 1
        return web.Response()


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    hook = Hook()
    app = web.Application()
    app.router.add_post("/calls", hook.on_post)
    app.router.add_post("/elsewhere", hook.on_stray)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    hook.url = f"http://127.0.0.1:{runner.addresses[0][1]}/calls"
    yield hook
    hook.released.set()
    await runner.cleanup()


def feeds_to(
    to: str, config: OutboxConfig = HASTY, *, timeout_s: float = 10.0, **given: Any
) -> EventFeeds:
    profiles = {
        "told": Profile("Be kind.", events=EventFeed(to, **given)),
        "silent": Profile("Be kind."),
    }
    feeds = EventFeeds(
        profiles,
        store=lambda: None,
        environ=ENVIRON,
        rng=random.Random(1),
        config=config,
        webhook_timeout_s=timeout_s,
    )
    feeds.start()
    return feeds


class Call:
    """Tells one call's events."""

    def __init__(self, feeds: EventFeeds, number: int, profile: str = "told") -> None:
        self.sid = f"CA{number:032x}"
        self.published: list[str] = []
        self._feeds = feeds
        now = monotonic_s()
        self._stamps = CallStamps(self.sid, profile, started_unix_s=1.0, started_at=now)
        self._record = CallRecord(model="gpt-realtime-2.1", prices=None, started_at=now)

    def tell(self, event: CallEvent) -> None:
        stamped = self._stamps.stamp(event, now=monotonic_s())
        self._record.note(stamped)
        self.published.append(stamped.event_id)
        self._feeds.publish(stamped)

    def say(self, text: str = "a secret") -> None:
        self.tell(TranscriptSaid(Speaker.CALLER, text))

    def end(self) -> None:
        now = monotonic_s()
        self._record.ended(CloseReason.CALLER_HUNG_UP, now=now)
        self.tell(self._record.summary(now=now))


def ids(events: list[Json], sid: str) -> list[str]:
    """Return the ids of a call's events as a reader keeps them, each once."""
    found = [event["event_id"] for event in events if event["call_sid"] == sid]
    return list(dict.fromkeys(found))


def counters(feeds: EventFeeds) -> FeedCounters:
    return feeds.counters()["told"]


async def test_every_event_arrives_in_the_order_of_its_call_whatever_the_hook_does(
    hook: Hook, wait: Wait
) -> None:
    hook.answers = ["500", "hang", "redirect", "lost answer", "", "500", "lost answer"]
    feeds = feeds_to(hook.url, timeout_s=0.3)
    calls = [Call(feeds, number) for number in range(5)]
    for _ in range(20):
        tried = len(hook.requests)
        for call in calls:
            call.say()
        # More is told while a batch is under way or waits for its next try.
        await wait(lambda tried=tried: len(hook.requests) > tried)
    assert not hook.answers
    for call in calls:
        call.end()
    await wait(lambda: counters(feeds).waiting == 0)
    for call in calls:
        assert ids(hook.accepted, call.sid) == call.published
    contents: dict[str, list[Json]] = {}
    for key, events in hook.requests:
        assert contents.setdefault(key, events) == events
    assert len(contents) < len(hook.requests)
    assert counters(feeds).delivered == 5 * 21
    assert counters(feeds).failed_batches >= 6
    assert counters(feeds).dropped == 0
    assert hook.stray == 0
    await feeds.aclose(timeout_s=10)


async def test_a_hook_that_is_down_for_long_costs_old_events_and_no_record(
    hook: Hook, wait: Wait
) -> None:
    hook.answers = ["500"]
    bounds = OutboxConfig(
        interval_s=0.01,
        max_batch_events=50,
        max_batch_bytes=50_000,
        max_events=200,
        max_bytes=100_000,
        backoff=Backoff(first_s=0.02, max_s=0.05),
    )
    feeds = feeds_to(hook.url, bounds, timeout_s=0.2)
    hook.down = True
    calls = [Call(feeds, number) for number in range(20)]
    for call in calls:
        for _ in range(100):
            call.say()
            assert counters(feeds).waiting <= 200
            assert counters(feeds).waiting_bytes <= 100_000
        call.end()
        await asyncio.sleep(0)
    failed = counters(feeds).failed_batches
    await wait(lambda: counters(feeds).failed_batches > failed + 2)
    assert counters(feeds).failing
    hook.down = False
    hook.released.set()
    await wait(lambda: counters(feeds).waiting == 0)
    seen = counters(feeds)
    assert seen.published == 20 * 101 == seen.delivered + seen.dropped
    assert seen.dropped >= 20 * 101 - 200 - 50
    for call in calls:
        assert call.published[-1] in ids(hook.accepted, call.sid)
        kept = ids(hook.accepted, call.sid)
        assert kept == sorted(kept, key=call.published.index)
    assert ids(hook.accepted, calls[-1].sid)[-20:] == calls[-1].published[-20:]
    await feeds.aclose(timeout_s=10)


async def test_the_end_of_a_call_does_not_wait_for_the_tick(
    hook: Hook, wait: Wait
) -> None:
    feeds = feeds_to(hook.url, NEVER_BY_ITSELF)
    call = Call(feeds, 1)
    call.say()
    call.end()
    await wait(lambda: len(hook.accepted) == 2)
    assert len(hook.requests) == 1
    assert hook.accepted[-1]["type"] == "call_ended"
    assert hook.accepted[-1]["reason"] == "caller_hung_up"
    await feeds.aclose(timeout_s=10)


async def test_closing_delivers_what_waits(hook: Hook) -> None:
    hook.answers = ["500", "500"]
    feeds = feeds_to(hook.url, NEVER_BY_ITSELF)
    call = Call(feeds, 1)
    for _ in range(3):
        call.say()
    await feeds.aclose(timeout_s=20)
    assert ids(hook.accepted, call.sid) == call.published
    assert counters(feeds).waiting == 0
    call.say()
    assert len(hook.requests) == 3


async def test_closing_gives_up_at_its_deadline(hook: Hook) -> None:
    hook.down = True
    feeds = feeds_to(hook.url)
    Call(feeds, 1).end()
    started_at = monotonic_s()
    with capture_logs() as logs:
        await feeds.aclose(timeout_s=0.2)
    assert monotonic_s() - started_at < 5.0
    assert [(line["event"], line["events"]) for line in logs] == [("feed.given_up", 1)]


async def test_a_hook_gets_its_headers_and_json(hook: Hook) -> None:
    feeds = feeds_to(hook.url, headers={"Authorization": "Bearer ${FEED_TOKEN}"})
    call = Call(feeds, 1)
    call.tell(Interrupted(heard_ms=860))
    await feeds.aclose(timeout_s=20)
    assert hook.headers["Authorization"] == "Bearer hush-hush"
    assert hook.headers["Content-Type"] == "application/json"
    (event,) = hook.accepted
    assert event["type"] == "interrupted"
    assert event["heard_ms"] == 860
    assert event["event_id"] == f"{call.sid}:1"


async def test_a_profile_decides_what_is_told(hook: Hook) -> None:
    feeds = feeds_to(hook.url, transcripts=False)
    told, silent = Call(feeds, 1), Call(feeds, 2, "silent")
    for call in (told, silent):
        call.say()
        call.tell(ToolCalled("book", "ok", 12, arguments='{"name": "a secret"}'))
        call.end()
    await feeds.aclose(timeout_s=20)
    assert [event["type"] for event in hook.accepted] == ["tool_called", "call_ended"]
    assert "secret" not in json.dumps(hook.accepted)
    assert set(feeds.counters()) == {"told"}


async def test_profiles_with_one_destination_share_an_outbox(hook: Hook) -> None:
    profile = Profile("Be kind.", events=EventFeed(hook.url))
    other = Profile("Be kind.", events=EventFeed(hook.url, headers={"X-Other": "1"}))
    feeds = EventFeeds(
        {"a": profile, "b": profile, "c": other},
        store=lambda: None,
        environ={},
        rng=random.Random(1),
    )
    feeds.start()
    for number, name in enumerate("abc"):
        Call(feeds, number, name).say()
    await feeds.aclose(timeout_s=20)
    published = {name: seen.published for name, seen in feeds.counters().items()}
    assert published == {"a": 2, "c": 1}
    assert len(hook.requests) == 2


async def test_failing_is_logged_once_and_so_is_recovery_without_anything_personal(
    hook: Hook, wait: Wait
) -> None:
    hook.answers = ["500"] * 5
    with capture_logs() as logs:
        feeds = feeds_to(hook.url, headers={"X-Token": "${FEED_TOKEN}"})
        call = Call(feeds, 1)
        call.say()
        await wait(lambda: len(hook.accepted) == 1)
        await feeds.aclose(timeout_s=10)
    assert [(line["event"], line.get("reason")) for line in logs] == [
        ("feed.failing", "HTTP 500"),
        ("feed.recovered", None),
    ]
    assert not any(word in str(logs) for word in ("secret", "hush", call.sid, hook.url))


async def test_nobody_listening_is_a_failure_like_any_other(wait: Wait) -> None:
    feeds = feeds_to("http://127.0.0.1:1/calls")
    with capture_logs() as logs:
        Call(feeds, 1).end()
        await wait(lambda: counters(feeds).failed_batches >= 3)
    assert [line["event"] for line in logs] == ["feed.failing"]
    assert counters(feeds).waiting == 1
    await feeds.aclose(timeout_s=0.01)


async def test_telling_many_events_never_waits(hook: Hook) -> None:
    hook.down = True
    feeds = feeds_to(hook.url)
    call = Call(feeds, 1)
    started_at = monotonic_s()
    for _ in range(15_000):
        call.say()
    assert monotonic_s() - started_at < 10.0
    assert counters(feeds).waiting == 10_000
    await feeds.aclose(timeout_s=0.01)


async def test_a_header_that_cannot_be_filled_in_names_its_profile() -> None:
    with pytest.raises(SettingsError, match=r"profiles\.told\.events\.headers\.Auth"):
        feeds_to("https://hooks.example.com", headers={"Authorization": "${X}"})
