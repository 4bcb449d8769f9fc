"""The agent's bench; every test of the agent runs on both event loops."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import uvloop

from lab.realtime import RealtimeLatency
from tests.integration.region_agent.bench import (
    CONFIG,
    PACED,
    Bench,
    StartBench,
    running,
)


def pytest_asyncio_loop_factories(
    config: pytest.Config,  # noqa: ARG001
    item: pytest.Item,  # noqa: ARG001
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[StartBench]:
    async with contextlib.AsyncExitStack() as stack:

        async def start(
            latency: RealtimeLatency = PACED, config: str = CONFIG, **environ: str
        ) -> Bench:
            started: AbstractAsyncContextManager[Bench]
            started = running(tmp_path, latency, environ, config)
            return await stack.enter_async_context(started)

        yield start


@pytest.fixture
async def bench(start: StartBench) -> Bench:
    bench = await start()
    await bench.wait_warm()
    return bench
