"""The link bench; every test runs on both event loops, and none may block them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import get_args

import pytest
import uvloop
from blockbuster import blockbuster_ctx

from backhaul.transports.base import LinkTransport
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


@pytest.fixture(params=get_args(LinkTransport))
def transport(request: pytest.FixtureRequest) -> LinkTransport:
    chosen: LinkTransport = request.param
    return chosen


@pytest.fixture
async def bench(tmp_path: Path, transport: LinkTransport) -> AsyncIterator[Bench]:
    async with serving(tmp_path, transport) as bench:
        yield bench
