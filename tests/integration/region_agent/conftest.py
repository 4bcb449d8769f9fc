"""The agent's bench; its tests run on the event loop of production."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
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

Regions = Callable[..., Awaitable[tuple[Bench, Bench]]]


def pytest_asyncio_loop_factories(
    config: pytest.Config,  # noqa: ARG001
    item: pytest.Item,  # noqa: ARG001
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


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


@pytest.fixture
async def regions(tmp_path: Path) -> AsyncIterator[Regions]:
    """Start two agents with a model each, which know nothing of each other."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(
            latency: RealtimeLatency = PACED, config: str = CONFIG
        ) -> tuple[Bench, Bench]:
            benches: list[Bench] = []
            for name in ("first", "second"):
                directory = tmp_path / name
                directory.mkdir()
                started = running(directory, latency, {}, config)
                benches.append(await stack.enter_async_context(started))
                await benches[-1].wait_warm()
            return benches[0], benches[1]

        yield start
