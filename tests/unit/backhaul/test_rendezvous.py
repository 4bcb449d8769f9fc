"""Processes that end together: each holds the pipe, here as a duplicate of its own."""

import asyncio
import os
from collections.abc import Iterator

import pytest

from backhaul.rendezvous import Rendezvous


@pytest.fixture
def holds() -> Iterator[list[Rendezvous]]:
    parent = Rendezvous.make()
    found = [parent, *(Rendezvous(*map(os.dup, parent.fds)) for _ in range(2))]
    yield found
    for hold in found:
        hold.close()


async def test_nobody_goes_before_all_have_arrived(holds: list[Rendezvous]) -> None:
    parent, waits, late = holds
    parent.arrive()
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(waits.wait_all(3600.0))
        late.arrive()
        late.arrive()
        assert await waiting


async def test_who_waits_for_too_long_goes_alone(holds: list[Rendezvous]) -> None:
    assert not await holds[0].wait_all(0.05)
    holds[1].arrive()
    assert not await holds[0].wait_all(0.05)
    holds[2].close()  # gone without a word
    assert await holds[0].wait_all(3600.0)
