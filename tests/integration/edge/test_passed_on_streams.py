"""A Media Stream that came to another worker than the one its call is at."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import ClientConnection

from backhaul.core.messages import CloseReason
from backhaul.rendezvous import Rendezvous
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


@asynccontextmanager
async def workers(
    make_bench: "MakeBench", *, drain_timeout_s: float = 60.0
) -> AsyncIterator[tuple["Bench", "Bench"]]:
    """Start two workers of an edge; each has a public port of its own."""
    each = [Sibling(free_port(), free_port()) for _ in range(2)]
    parent = Rendezvous.make()
    holds = [Rendezvous(*map(os.dup, parent.fds)) for _ in each]
    parent.close()
    first, second = (Siblings(number, each, hold) for number, hold in enumerate(holds))
    settings = {"drain_timeout_s": drain_timeout_s}
    bench = await make_bench(siblings=first, **settings)
    yield bench, await make_bench(beside=bench, siblings=second, **settings)
    for hold in holds:
        hold.close()


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
    make_bench: "MakeBench", wait: Any
) -> None:
    async with (
        workers(make_bench) as (other, owner),
        call_at(owner, other, wait) as carrier,
        asyncio.TaskGroup() as tasks,
    ):
        draining = tasks.create_task(other.edge.drain())
        (call,) = owner.agent.calls
        for count in range(1, 20):
            await carrier.send(media())
            await wait(lambda wanted=AUDIO * count: bytes(call.audio) == wanted)
        assert not draining.done()
        tasks.create_task(owner.edge.drain())
        call.channel.close(CloseReason.MODEL_HUNG_UP)
        assert await close_code(carrier) == 1000


async def test_workers_wait_for_each_other_only_as_long_as_they_may_drain(
    make_bench: "MakeBench", wait: Any
) -> None:
    async with (
        workers(make_bench, drain_timeout_s=0.3) as (other, owner),
        call_at(owner, other, wait),
    ):
        async with asyncio.timeout(30):
            await asyncio.gather(other.edge.drain(), owner.edge.drain())
        assert len(owner.edge.calls) == 1


async def test_a_worker_that_stops_ends_the_streams_of_others_politely(
    make_bench: "MakeBench", wait: Any
) -> None:
    async with (
        workers(make_bench) as (other, owner),
        call_at(owner, other, wait) as carrier,
    ):
        await other.edge.stop()
        async with asyncio.timeout(20):
            assert await close_code(carrier) == 1000
        await carrier.wait_closed()
        assert carrier.connection_exc is None  # not reset, as by bytes nobody reads
        await wait(lambda: owner.agent.calls[0].closed is not None)
