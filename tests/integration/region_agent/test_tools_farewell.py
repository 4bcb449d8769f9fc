"""HTTP/2 servers that say goodbye: what they still answer is not asked again."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest

from region_agent.tools import Tools
from tests.integration.region_agent.tool_server import (
    HOST,
    Resolver,
    authority,
    network,
    profile,
    request,
    tools_for,
)

Wait = Callable[..., Awaitable[None]]


def goaway(last_stream: int) -> bytes:
    """Return the frame, by hand: h2 would send nothing after it."""
    payload = last_stream.to_bytes(4, "big") + bytes(4)
    return len(payload).to_bytes(3, "big") + bytes((7, 0, 0, 0, 0, 0)) + payload


@dataclass
class PoliteServer:
    """Answers every request, says GOAWAY before that, and then closes if told to."""

    closes: bool = True
    requests: int = 0
    writers: list[asyncio.StreamWriter] = field(
        default_factory=list[asyncio.StreamWriter]
    )

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.writers.append(writer)
        config = h2.config.H2Configuration(client_side=False)
        connection = h2.connection.H2Connection(config)
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        answered = False
        while not (answered and self.closes):
            data = await reader.read(65536)
            if not data:
                break
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.StreamEnded):
                    answered = True
                    self.answer(connection, event.stream_id, writer)
            writer.write(connection.data_to_send())
        writer.close()

    def answer(
        self,
        connection: h2.connection.H2Connection,
        stream: int,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.requests += 1
        writer.write(connection.data_to_send() + goaway(stream))
        headers = [(":status", "200"), ("content-type", "text/plain")]
        connection.send_headers(stream, headers)
        for piece in (b"so ", b"long"):
            connection.send_data(stream, piece)
        connection.end_stream(stream)


@pytest.fixture
async def server() -> PoliteServer:
    return PoliteServer()


@pytest.fixture
async def tools(tmp_path: Path, server: PoliteServer) -> AsyncIterator[Tools]:
    files, trusting = authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    context.set_alpn_protocols(["h2"])
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
    port = listening.sockets[0].getsockname()[1]
    desk = profile(f"https://{HOST}:{port}", ("bye",))
    tools = tools_for(desk, network(Resolver("127.0.0.1"), trusting))
    tools.start()
    yield tools
    await tools.aclose()
    listening.close()
    for writer in server.writers:
        writer.transport.abort()
    await listening.wait_closed()


@pytest.mark.parametrize("closes", [True, False])
async def test_an_answer_that_comes_with_a_farewell_is_taken(
    tools: Tools, server: PoliteServer, wait: Wait, closes: bool
) -> None:
    server.closes = closes
    (connections,) = tools.connections
    pool = connections.pool
    for number in range(3):
        await wait(lambda: pool.stock().ready == 1)
        result = await tools.call(request("bye", "{}", f"c{number}"))
        assert (result.outcome, result.output) == ("ok", "so long")
        assert result.attempts == 1
    assert server.requests == 3
    assert pool.counters.cold == 0
    await wait(lambda: pool.stock().ready == 1)
    assert pool.counters.opened == 4, "none served twice after its farewell"


async def test_a_farewell_on_an_idle_connection_has_it_replaced(
    tools: Tools, server: PoliteServer, wait: Wait
) -> None:
    (connections,) = tools.connections
    pool = connections.pool
    await wait(lambda: pool.stock().ready == 1 and bool(server.writers))
    server.writers[0].write(goaway(0))
    await wait(lambda: pool.counters.opened == 2)
    assert pool.stock().ready == 1
    assert (await tools.call(request("bye"))).attempts == 1
