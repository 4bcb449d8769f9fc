"""Event feeds into a real Valkey that comes late, hangs, and comes back."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import redis.asyncio as redis

from backhaul.core.backoff import Backoff
from backhaul.core.profile import EventFeed, Profile
from backhaul.store import Store, open_store
from region_agent.core.call_events import CallEvent, CallStamps, SilencePrompted
from region_agent.core.outbox import OutboxConfig
from region_agent.event_feeds import EventFeeds

Wait = Callable[..., Awaitable[None]]

HASTY = OutboxConfig(interval_s=0.01, backoff=Backoff(first_s=0.02, max_s=0.1))
SID = "CA" + "1" * 32


class Region:
    """A store that is opened when the test says so, and the feed into it."""

    def __init__(self) -> None:
        self.store: Store | None = None
        self.told: list[str] = []
        self.feeds = EventFeeds(
            {"told": Profile("Be kind.", events=EventFeed("redis"))},
            store=lambda: self.store,
            environ={},
            rng=random.Random(1),
            config=HASTY,
        )
        self._stamps = CallStamps(SID, "told", started_unix_s=1.0, started_at=0.0)

    @property
    def waiting(self) -> int:
        return self.feeds.counters()["told"].waiting

    @property
    def failed_batches(self) -> int:
        return self.feeds.counters()["told"].failed_batches

    async def open(self, *, timeout_s: float = 5.0) -> Store:
        self.store = await open_store(None, timeout_s=timeout_s)
        return self.store

    def tell(self, count: int) -> None:
        for _ in range(count):
            event = self._stamps.stamp(SilencePrompted(), now=0.0)
            self.told.append(event.event_id)
            self.feeds.publish(event)

    async def stream(self) -> list[str]:
        """Return the ids in the stream as a reader keeps them, each once."""
        assert self.store is not None
        client: Any = cast("Any", redis.Redis).from_url(self.store.url)
        entries = await client.xrange("warmline:events")
        await client.aclose()
        found: list[str] = []
        for _, fields in entries:
            assert set(fields) == {b"event"}
            event: CallEvent = msgspec.json.decode(fields[b"event"], type=CallEvent)
            found.append(event.event_id)
        return list(dict.fromkeys(found))


@pytest.fixture
async def region() -> AsyncIterator[Region]:
    region = Region()
    region.feeds.start()
    yield region
    await region.feeds.aclose(timeout_s=10)
    if region.store is not None:
        await region.store.aclose()


def server_pid(store: Store) -> int:
    socket = store.url.removeprefix("unix://").partition("?")[0]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"valkey-server" in line and socket.encode() in line:
                return int(entry.name)
    raise AssertionError("no server")


async def test_events_arrive_in_order(region: Region, wait: Wait) -> None:
    await region.open()
    for _ in range(20):
        region.tell(60)
        await asyncio.sleep(0)
    await wait(lambda: region.waiting == 0)
    assert await region.stream() == region.told


async def test_a_store_that_opens_late_gets_everything(
    region: Region, wait: Wait
) -> None:
    region.tell(10)
    await wait(lambda: region.failed_batches > 2)
    await region.open()
    await wait(lambda: region.waiting == 0)
    assert await region.stream() == region.told


async def test_a_store_that_hangs_gets_everything_afterwards(
    region: Region, wait: Wait
) -> None:
    store = await region.open(timeout_s=0.1)
    region.tell(10)
    await wait(lambda: region.waiting == 0)
    pid = server_pid(store)
    os.kill(pid, signal.SIGSTOP)
    try:
        failed = region.failed_batches
        region.tell(1500)
        await wait(lambda: region.failed_batches > failed + 3)
        region.tell(10)
    finally:
        os.kill(pid, signal.SIGCONT)
    await wait(lambda: region.waiting == 0)
    assert await region.stream() == region.told


async def test_closing_delivers_what_waits(region: Region) -> None:
    await region.open()
    region.tell(700)
    await region.feeds.aclose(timeout_s=20)
    assert await region.stream() == region.told
