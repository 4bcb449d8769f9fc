"""Every test of the edge runs on production's event loop, and none may block it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest
import uvloop
from blockbuster import blockbuster_ctx

from tests.integration.edge.fleet import FleetBench, fleet_bench


def pytest_asyncio_loop_factories(
    config: pytest.Config,  # noqa: ARG001
    item: pytest.Item,  # noqa: ARG001
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[FleetBench]:
    async with fleet_bench(tmp_path) as bench:
        yield bench


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[None]:
    """Fail on a call that would stop the event loop from within the product."""
    with blockbuster_ctx(["edge", "backhaul.links", "backhaul.transports"]) as guard:
        # Before it starts, an edge reads its certificate.
        read = guard.functions["io.BufferedReader.read"]
        read.can_block_in("backhaul/credentials.py", "load")
        yield
