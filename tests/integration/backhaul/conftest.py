"""The link bench; every test runs on both event loops, and none may block them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest
import uvloop
from blockbuster import blockbuster_ctx

from tests.integration.backhaul.links import Bench, serving


def pytest_asyncio_loop_factories(
    config: pytest.Config,  # noqa: ARG001
    item: pytest.Item,  # noqa: ARG001
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[None]:
    """Fail on a call that would stop the event loop from within the product."""
    with blockbuster_ctx(["backhaul.links", "backhaul.transports"]):
        yield


@pytest.fixture
def transport() -> str:
    """Name what carries the links; a module with several has a fixture of its own."""
    return "websocket"


@pytest.fixture
async def bench(tmp_path: Path, transport: str) -> AsyncIterator[Bench]:
    async with serving(tmp_path, transport=transport) as bench:
        yield bench
