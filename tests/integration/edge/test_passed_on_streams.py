"""A Media Stream that came to another worker than the one its call is at."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.client import ClientConnection

from backhaul.core.messages import CloseReason
from edge.siblings import Sibling, Siblings
from lab.free_port import free_port
from tests.integration.edge.streams import (
    AUDIO,
    GREETING_AUDIO,
    close_code,
    heard,
    media,
    ring,
    start,
    stream,
)

if TYPE_CHECKING:
    from tests.integration.conftest import Bench, MakeBench


@pytest.fixture
async def workers(make_bench: "MakeBench") -> tuple["Bench", "Bench"]:
    """Start two workers of an edge; both have what tells them apart in public, too."""
    each = [Sibling(free_port(), free_port()) for _ in range(2)]
    first = await make_bench(siblings=Siblings(0, each), drain_timeout_s=60.0)
    second = await make_bench(
        beside=first, siblings=Siblings(1, each), drain_timeout_s=60.0
    )
    return first, second


@asynccontextmanager
async def call_at(
    owner: "Bench", by_way_of: "Bench", wait: Any
) -> AsyncIterator[ClientConnection]:
    """Make a call that is at one worker, and whose stream came to another."""
    siblings = owner.edge.calls.siblings
    number = next(n for n in range(99) if siblings.owns(owner.sids(n)["CallSid"]))
    async with stream(by_way_of, await ring(owner, owner.sids(number))) as carrier:
        await carrier.send(start(number))
        assert await heard(carrier, at_least=len(GREETING_AUDIO)) == GREETING_AUDIO
        await wait(lambda: bool(owner.agent.calls))
        assert (len(owner.edge.calls), len(by_way_of.edge.calls)) == (1, 0)
        yield carrier


async def test_a_worker_that_drains_goes_on_with_the_streams_of_others(
    workers: tuple["Bench", "Bench"], wait: Any
) -> None:
    other, owner = workers
    async with call_at(owner, other, wait) as carrier, asyncio.TaskGroup() as tasks:
        draining = tasks.create_task(other.edge.drain())
        (call,) = owner.agent.calls
        for heard_so_far in range(1, 20):
            await carrier.send(media())
            await wait(lambda wanted=heard_so_far: bytes(call.audio) == AUDIO * wanted)
        assert not draining.done()
        call.channel.close(CloseReason.MODEL_HUNG_UP)
        assert await close_code(carrier) == 1000


async def test_a_worker_that_stops_ends_the_streams_of_others_politely(
    workers: tuple["Bench", "Bench"], wait: Any
) -> None:
    other, owner = workers
    async with call_at(owner, other, wait) as carrier:
        await other.edge.stop()
        assert await close_code(carrier) == 1000
        await carrier.wait_closed()
        assert carrier.connection_exc is None  # not reset, as by bytes nobody reads
        await wait(lambda: owner.agent.calls[0].closed is not None)
