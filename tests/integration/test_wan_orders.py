"""A WAN that runs is told what to lose."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from lab.wan import Route, WanRelay
from lab.wan_control import WanOrder
from lab.wan_orders import WanError, order_wan


@pytest_asyncio.fixture
async def control_port() -> AsyncIterator[int]:
    relay = WanRelay([Route("a>b", "127.0.0.1", 9)])
    await relay.start()
    yield await relay.listen_for_control(0)
    await relay.aclose()


async def test_orders_are_obeyed(control_port: int) -> None:
    await order_wan(
        control_port,
        [WanOrder(route="a>b", loss=1.0), WanOrder(route="a>b", delay_ms=1.0)],
    )


async def test_an_order_that_is_refused_is_told(control_port: int) -> None:
    with pytest.raises(WanError):
        await order_wan(control_port, [WanOrder(route="nowhere", loss=1.0)])


async def test_a_wan_that_is_gone_is_told() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        with pytest.raises(WanError):
            await order_wan(probe.getsockname()[1], [WanOrder(route="a>b", loss=0.0)])
    await asyncio.sleep(0)
