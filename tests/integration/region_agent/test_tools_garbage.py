"""Endpoints that answer with what is no HTTP: an outcome, and never an exception."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import hpack
import pytest

from tests.integration.region_agent.tool_server import (
    HOST,
    Resolver,
    authority,
    network,
    profile,
    request,
    tools_for,
)

Serve = Callable[[str, bytes], Awaitable[str]]
SETTINGS = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes((kind, flags))
    return SETTINGS + head + stream.to_bytes(4, "big") + payload


def answer_headers(*headers: tuple[str, str], flags: int = 5) -> bytes:
    return frame(1, flags, 1, hpack.Encoder().encode(headers))


@pytest.fixture
async def ask(tmp_path: Path) -> AsyncIterator[Serve]:
    """Returns the outcome of a call whose endpoint answers with given bytes."""
    async with contextlib.AsyncExitStack() as stack:

        async def ask(protocol: str, garbage: bytes) -> str:
            files, trusting = authority(tmp_path)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(files.certificate, files.key)
            context.set_alpn_protocols([protocol])

            async def serve(
                reader: asyncio.StreamReader, writer: asyncio.StreamWriter
            ) -> None:
                with contextlib.suppress(OSError):
                    await reader.read(65536)
                    writer.write(garbage)
                    await writer.drain()
                writer.transport.abort()

            server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
            stack.callback(server.close)
            url = f"https://{HOST}:{server.sockets[0].getsockname()[1]}"
            tools = tools_for(
                profile(url, ("odd",)), network(Resolver("127.0.0.1"), trusting)
            )
            stack.push_async_callback(tools.aclose)
            tools.start()
            result = await tools.call(request("odd"))
            (connections,) = tools.connections
            assert connections.pool.stock().uses == 0
            assert result.attempts == 2
            return result.outcome

        yield ask


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\x00" * 100,
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: a\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\xff\xfe: 1\r\n\r\n",
    ],
)
async def test_bytes_that_are_no_http1_answer(ask: Serve, garbage: bytes) -> None:
    assert await ask("http/1.1", garbage) in {"unreachable", "http_5xx"}


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"\xff" * 1000,
        SETTINGS,
        frame(0, 1, 1, b"data before headers"),
        frame(0, 1, 99, b"data of no stream"),
        frame(1, 5, 1, b"\xff\xff\xff\xff\xff\xff"),
        frame(3, 0, 1, bytes(4)),
        frame(3, 0, 1, b"sho"),
        frame(5, 4, 1, b"\x00\x00\x00\x02\x88"),
        frame(7, 0, 0, b"\x00\x00\x00\x01\x00\x00\x00\x02"),
        frame(7, 0, 0, b"\x00\x00\x00\x01\x00\x00\x00\x00"),
        frame(7, 0, 0, b"1234"),
        frame(8, 0, 0, b"\x7f\xff\xff\xff"),
        answer_headers((":status", "abc")),
        answer_headers((":status", "200"), ("content-length", "abc")),
        answer_headers((":status", "200"), ("content-length", "abc"), flags=4),
        answer_headers((":status", "200"), flags=4),
    ],
)
async def test_bytes_that_are_no_http2_answer(ask: Serve, garbage: bytes) -> None:
    assert await ask("h2", garbage) == "unreachable"
