"""When the links of a process flush."""

import asyncio
from functools import partial

from backhaul.batcher import Batcher
from backhaul.clock import monotonic_s


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def busy_batcher() -> Batcher:
    """Return one that has seen enough to wait for more."""
    batcher = Batcher()
    async with asyncio.timeout(10):
        while not batcher.tick.wait_s(now=monotonic_s()):
            batcher.tick.passed(100_000)
            await asyncio.sleep(0.01)
    return batcher


async def until_flushed(flushed: list[str], count: int) -> None:
    async with asyncio.timeout(10):
        while len(flushed) < count:
            await asyncio.sleep(0.001)


async def test_an_idle_process_flushes_at_the_end_of_the_turn() -> None:
    flushed: list[str] = []
    Batcher().due(partial(flushed.append, "only"))
    assert flushed == []
    await turns(1)
    assert flushed == ["only"]


async def test_a_busy_process_flushes_all_links_with_one_tick() -> None:
    batcher, flushed = await busy_batcher(), list[str]()
    batcher.due(partial(flushed.append, "first"))
    await turns(5)
    assert flushed == []
    batcher.due(partial(flushed.append, "second"))
    await until_flushed(flushed, 1)
    await turns(2)
    assert flushed == ["first", "second"]


async def test_what_is_due_after_a_tick_goes_with_the_next() -> None:
    batcher, flushed = await busy_batcher(), list[str]()
    batcher.due(partial(flushed.append, "first"))
    await until_flushed(flushed, 1)
    batcher.due(partial(flushed.append, "second"))
    await until_flushed(flushed, 2)
    assert flushed == ["first", "second"]


async def test_a_link_that_fails_does_not_hold_up_the_others() -> None:
    failed: list[object] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: failed.append(context["exception"])
    )
    batcher, flushed = await busy_batcher(), list[str]()

    def fail() -> None:
        raise LookupError

    batcher.due(fail)
    batcher.due(partial(flushed.append, "second"))
    await until_flushed(flushed, 1)
    assert [type(error) for error in failed] == [LookupError]


async def test_whoever_hears_answers_at_once_when_the_tick_is_half_over() -> None:
    batcher, flushed = await busy_batcher(), list[str]()
    batcher.due(partial(flushed.append, "first"))
    batcher.seize()
    assert flushed == []  # others may still come
    wait_s = batcher.tick.wait_s(now=monotonic_s())
    ends_at = monotonic_s() + wait_s / 2
    while monotonic_s() < ends_at:
        pass  # no turn of the loop, so the timer cannot have rung
    batcher.seize()
    assert flushed == ["first"]


async def test_nothing_to_seize_is_no_error() -> None:
    batcher, flushed = await busy_batcher(), list[str]()
    batcher.seize()
    assert flushed == []
