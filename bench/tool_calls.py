"""What a tool call costs beyond the endpoint's own time, on warm connections and cold.

Prints one line per client and distance; ``--json`` prints one object. The endpoint is
hypercorn in a process of its own (HTTP/2 over TLS), the distance is the WAN relay's.
"Added" is the time of the call, less what the endpoint says it took, less one round
trip; hypercorn's own HTTP work, and the relay's, count as added.
"""

import argparse
import asyncio
import json
import random
import ssl
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import aiohttp
import uvloop
from hypercorn.asyncio import serve
from hypercorn.config import Config
from hypercorn.typing import ASGIFramework

from backhaul.clock import monotonic_s
from backhaul.core.profile import Profile
from backhaul.core.tools import Tool
from backhaul.pki import Role, create_authority, issue
from lab.figures import percentile
from lab.wan import Route, WanRelay
from region_agent.guarded_network import GuardedNetwork
from region_agent.tools import ToolRequest, Tools

HOST = "localhost"
WORK_S = 0.005

Event = MutableMapping[str, Any]
Call = Callable[[int], Awaitable[float]]
"""Makes one call and returns the endpoint's own time (s)."""


async def endpoint(
    scope: Event,
    receive: Callable[[], Awaitable[Event]],
    send: Callable[[Event], Awaitable[None]],
) -> None:
    """Work for a while and say for how long; an ASGI application."""
    if scope["type"] != "http":
        return
    began = monotonic_s()
    while (await receive()).get("more_body"):
        pass
    await asyncio.sleep(WORK_S)
    body = json.dumps({"own_s": monotonic_s() - began}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def run_server(directory: Path, port: int) -> None:
    """Serve until killed."""
    files = issue(directory, Role.EDGE, HOST)
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.certfile, config.keyfile = str(files.certificate), str(files.key)
    config.errorlog = None
    config.keep_alive_timeout = 600
    config.keep_alive_max_requests = 1_000_000
    app = cast("ASGIFramework", endpoint)
    forever = asyncio.Event()
    await serve(app, config, shutdown_trigger=forever.wait, mode="asgi")


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[int]:
    """Yield the port of an endpoint in another process."""
    port = random.randint(20_000, 30_000)  # noqa: S311 - any free one
    command = (sys.executable, __file__, "--serve", str(directory), "--port", str(port))
    process = await asyncio.create_subprocess_exec(*command)
    try:
        async with asyncio.timeout(30):
            while not await answers(port):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
        yield port
    finally:
        process.kill()
        await process.wait()


async def answers(port: int) -> bool:
    """Tell whether something listens on *port*."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@asynccontextmanager
async def warm_tools(url: str, context: ssl.SSLContext) -> AsyncIterator[Call]:
    """Yield calls by an agent's tools."""
    tool = Tool(
        name="work",
        description="Works.",
        url=url,
        parameters={"type": "object", "properties": {"n": {"type": "integer"}}},
        allow_private=True,
    )
    profile = Profile(instructions="Work.", tools=(tool,))
    tools = Tools(
        {"bench": profile},
        environ={},
        rng=random.Random(1),  # noqa: S311 - spreads load
        network=GuardedNetwork(context=context),
    )

    async def call(number: int) -> float:
        result = await tools.call(
            ToolRequest(
                profile="bench",
                name="work",
                arguments=f'{{"n": {number}}}',
                call_id=f"call_{number}",
                key=f"call_{number}",
                call_sid="CA" + "0" * 32,
                caller="+14155550100",
            )
        )
        own_s: float = json.loads(result.output)["own_s"]
        return own_s

    tools.start()
    async with asyncio.timeout(30):
        (pool,) = [connections.pool for connections in tools.connections]
        while not pool.stock().ready:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    yield call
    await tools.aclose()


@asynccontextmanager
async def aiohttp_calls(
    url: str, context: ssl.SSLContext, *, cold: bool
) -> AsyncIterator[Call]:
    """Yield calls by aiohttp, on connections that are kept or opened for each."""
    connector = aiohttp.TCPConnector(ssl=context, force_close=cold)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def call(number: int) -> float:
            body = {"name": "work", "arguments": {"n": number}}
            async with session.post(url, json=body) as response:
                own_s: float = (await response.json())["own_s"]
                return own_s

        yield call


@asynccontextmanager
async def bare_calls(url: str, context: ssl.SSLContext) -> AsyncIterator[Call]:
    """Yield calls that cost the client nothing: the same bytes on one open socket."""
    port = urlsplit(url).port
    reader, writer = await asyncio.open_connection(HOST, port, ssl=context)
    body = b'{"name":"work","arguments":{"n":1}}'
    head = f"POST /work HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(body)}"
    sent = head.encode() + b"\r\n\r\n" + body

    async def call(number: int) -> float:  # noqa: ARG001 - each is alike
        writer.write(sent)
        answered = await reader.readuntil(b"}")
        own_s: float = json.loads(answered.rpartition(b"\r\n\r\n")[2])["own_s"]
        return own_s

    yield call
    writer.transport.abort()


async def added_ms(call: Call, calls: int, rtt_ms: float) -> dict[str, float | None]:
    """Return percentiles of what *call* adds (ms)."""
    values: list[float] = []
    for number in range(calls + 10):
        began = monotonic_s()
        own_s = await call(number)
        values.append((monotonic_s() - began - own_s) * 1000 - rtt_ms)
    return {f"p{p}": percentile(values[10:], p) for p in (50, 95, 99)}


async def measure(calls: int, rtts_ms: tuple[float, ...]) -> list[dict[str, Any]]:
    """Return one row per client and distance."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        create_authority(directory)
        issue(directory, Role.EDGE, HOST)
        async with serving(directory) as port:
            for rtt_ms in rtts_ms:
                rows += await measure_at(rtt_ms, calls, port, directory)
    return rows


async def measure_at(
    rtt_ms: float, calls: int, port: int, directory: Path
) -> list[dict[str, Any]]:
    """Return one row per client at a distance of *rtt_ms* from the endpoint."""
    relay = WanRelay([Route("way", "127.0.0.1", port, rtt_ms / 2)])
    await relay.start()
    context = ssl.create_default_context(cafile=str(directory / "ca.pem"))
    plain = ssl.create_default_context(cafile=str(directory / "ca.pem"))
    url = f"https://{HOST}:{relay.ports['way'] if rtt_ms else port}/work"
    clients = {
        "bare socket, HTTP/1.1": bare_calls(url, plain),
        "warm pool": warm_tools(url, context),
        "aiohttp, kept alive": aiohttp_calls(url, plain, cold=False),
        "aiohttp, a connection each": aiohttp_calls(url, plain, cold=True),
    }
    rows: list[dict[str, Any]] = []
    for name, client in clients.items():
        async with client as call:
            figures = await added_ms(call, calls, rtt_ms)
        rows.append({"client": name, "rtt_ms": rtt_ms, "added_ms": figures})
    await relay.aclose()
    return rows


def main() -> None:
    """Measure, or be the endpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        uvloop.run(run_server(chosen.serve, chosen.port))
        return
    rows = uvloop.run(measure(chosen.calls, (0.0, 30.0)))
    if chosen.json:
        print(json.dumps(rows))
        return
    for row in rows:
        figures = "   ".join(f"{p} {ms:6.2f} ms" for p, ms in row["added_ms"].items())
        print(f"{row['client']:27} {row['rtt_ms']:3.0f} ms away   adds {figures}")


if __name__ == "__main__":
    main()
