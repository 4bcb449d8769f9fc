"""Tasks have an owner: when it goes, they go."""

import asyncio

from structlog.testing import capture_logs

from backhaul.tasks import TaskOwner


async def wait_for_ever(started: asyncio.Event, stopped: asyncio.Event) -> None:
    started.set()
    try:
        await asyncio.Event().wait()
    finally:
        stopped.set()


async def test_an_owner_that_closes_waits_for_its_tasks() -> None:
    owner, started, stopped = TaskOwner(), asyncio.Event(), asyncio.Event()
    owner.spawn(wait_for_ever(started, stopped), name="waiting")
    await started.wait()
    assert len(owner) == 1
    await owner.aclose()
    assert stopped.is_set()
    assert len(owner) == 0


async def test_an_owner_that_cancels_does_not_wait() -> None:
    owner, started, stopped = TaskOwner(), asyncio.Event(), asyncio.Event()
    owner.spawn(wait_for_ever(started, stopped), name="waiting")
    await started.wait()
    owner.cancel()
    assert not stopped.is_set()
    async with asyncio.timeout(10):
        await stopped.wait()


async def test_a_task_may_cancel_its_own_owner() -> None:
    owner, ended = TaskOwner(), asyncio.Event()

    async def end_everything() -> None:
        owner.cancel()
        try:
            await asyncio.sleep(0)
        finally:
            ended.set()

    owner.spawn(end_everything(), name="ending")
    async with asyncio.timeout(10):
        await ended.wait()


async def test_nothing_begins_after_the_end() -> None:
    cancelled, closed = TaskOwner(), TaskOwner()
    cancelled.cancel()
    await closed.aclose()
    for owner in (cancelled, closed):
        started = asyncio.Event()
        owner.spawn(wait_for_ever(started, asyncio.Event()), name="late")
        await asyncio.sleep(0)
        assert len(owner) == 0
        assert not started.is_set()


async def test_a_failure_is_told_and_leaves_the_others_alone() -> None:
    owner, started, stopped = TaskOwner(), asyncio.Event(), asyncio.Event()

    async def fail() -> None:
        raise ValueError

    with capture_logs() as logs:
        owner.spawn(wait_for_ever(started, stopped), name="waiting")
        owner.spawn(fail(), name="failing")
        async with asyncio.timeout(10):
            while not logs:
                await asyncio.sleep(0)
    assert [(log["event"], log["task"]) for log in logs] == [("task.failed", "failing")]
    assert len(owner) == 1
    await owner.aclose()
