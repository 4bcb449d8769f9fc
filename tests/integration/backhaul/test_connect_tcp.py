"""Connections that are given up, or that nobody answers."""

import asyncio
import socket

import pytest

from backhaul.transports.connectors import connector
from backhaul.transports.sockets import connect_tcp
from tests.integration.backhaul.links import AGENT_HELLO, EDGE_HELLO, Bench
from tests.integration.backhaul.peers import TCP_ALPN


@pytest.mark.parametrize("transport", TCP_ALPN)
@pytest.mark.timeout(120)
async def test_a_dial_that_is_given_up_harms_no_other_socket(bench: Bench) -> None:
    loop = asyncio.get_running_loop()
    opens = await asyncio.to_thread(connector, bench.transport, bench.files())
    given_up = 0
    for turns in range(200):
        bench.agent, edge = bench.new(AGENT_HELLO), bench.new(EDGE_HELLO)
        async with asyncio.TaskGroup() as group:
            dial = group.create_task(
                opens.connect(edge.link, bench.address, timeout_s=30.0)
            )
            for _ in range(turns % 25):
                await asyncio.sleep(0)
            dial.cancel()
        given_up += dial.cancelled()
        # Whoever gets the same number next can use it.
        others = [
            await loop.create_server(asyncio.Protocol, "127.0.0.1", 0) for _ in range(3)
        ]
        for other in others:
            other.close()
    assert given_up > 20


async def test_nobody_at_home_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(OSError, match=str(port)):
        await connect_tcp("127.0.0.1", port)


async def test_the_first_address_that_answers_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        with await connect_tcp("localhost", port) as tcp:
            assert tcp.getpeername()[:2] == ("127.0.0.1", port)
