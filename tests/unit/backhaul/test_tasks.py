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


async def test_tasks_can_be_waited_for_within_limits() -> None:
    owner, started = TaskOwner(), asyncio.Event()
    await owner.wait_idle(10)
    owner.spawn(asyncio.sleep(0.001), name="short")
    await owner.wait_idle(10)
    assert len(owner) == 0
    owner.spawn(wait_for_ever(started, asyncio.Event()), name="waiting")
    await owner.wait_idle(0.001)
    assert len(owner) == 1
    await owner.aclose()


async def test_nothing_begins_after_the_end() -> None:
    owner, started = TaskOwner(), asyncio.Event()
    await owner.aclose()
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
