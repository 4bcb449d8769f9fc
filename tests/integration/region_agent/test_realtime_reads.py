"""When the sockets of sessions are read, and who may be on the other side of them."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from backhaul.batcher import Batcher
from backhaul.clock import monotonic_s, unix_s
from backhaul.core.flush_tick import FlushTick
from backhaul.core.profile import Profile
from backhaul.errors import RealtimeConnectError
from backhaul.pki import Role, TlsFiles, create_authority, issue
from backhaul.read_group import ReadGroup
from backhaul.settings import Secret
from region_agent.core.realtime_events import ServerEvent
from region_agent.realtime import RealtimeCounters, RealtimeSession
from region_agent.realtime_open import RealtimeEndpoint, open_session

PROFILE = Profile(instructions="Be kind.")


class Held(FlushTick):
    """A tick that comes when a test wants it."""

    def wait_s(self, *, now: float) -> float:  # noqa: ARG002
        return 3600.0


class Hearer:
    """A call that counts what it is told."""

    def __init__(self) -> None:
        self.events = 0

    def on_model_audio(self, *audio: object) -> None:
        raise AssertionError(audio)

    def on_event(self, event: ServerEvent) -> None:
        assert event.type == "input_audio_buffer.cleared"
        self.events += 1

    def on_session_closed(self, reason: str) -> None:
        raise AssertionError(reason)

    async def until_told(self, events: int) -> None:
        async with asyncio.timeout(20):
            while self.events < events:
                await asyncio.sleep(0.005)


async def answer(connection: ServerConnection) -> None:
    """Open a session, and answer whatever is asked in it."""
    session = {"id": "sess_1", "expires_at": int(unix_s()) + 3600}
    await connection.send(json.dumps({"type": "session.created", "session": session}))
    with contextlib.suppress(ConnectionClosed):
        await connection.recv()
        await connection.send('{"type":"session.updated","session":{}}')
        while True:
            await connection.recv()
            await connection.send('{"type":"input_audio_buffer.cleared"}')


@contextlib.asynccontextmanager
async def agent(
    tls: ssl.SSLContext | None = None, trusted: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[RealtimeEndpoint, Batcher]]:
    """Serve sessions; return where, and the clock of the process that opens them."""
    batcher = Batcher()
    with contextlib.closing(ReadGroup(batcher)) as reads:
        async with serve(answer, "127.0.0.1", 0, ssl=tls) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            where = RealtimeEndpoint(
                url=f"{'wss' if tls else 'ws'}://localhost:{port}/v1/realtime",
                model="gpt-realtime",
                api_key=Secret("sk-test"),
                reads=reads,
                context=trusted,
            )
            yield where, batcher


async def opened(where: RealtimeEndpoint) -> RealtimeSession:
    return await open_session(where, PROFILE, RealtimeCounters())


async def proven(session: RealtimeSession) -> None:
    answered = asyncio.Event()
    session.prove(answered.set)
    async with asyncio.timeout(20):
        await answered.wait()


async def test_sessions_of_calls_are_read_with_the_tick_and_others_at_once() -> None:
    async with agent() as (where, batcher):
        batcher.tick = Held(now=monotonic_s())
        in_a_call, in_stock = await opened(where), await opened(where)
        call = Hearer()
        in_a_call.bind(call)
        in_a_call.send(b"{}")
        await call.until_told(1)  # and from now on there is a tick
        in_a_call.send(b"{}")
        for _ in range(5):
            await proven(in_stock)
        assert call.events == 1
        batcher._tick()
        await call.until_told(2)
        for session in (in_a_call, in_stock):
            session.close()


async def test_a_session_that_was_closed_before_its_call_takes_no_audio() -> None:
    async with agent() as (where, _):
        session = await opened(where)
        session.close()
        session.bind(Hearer())
        assert not session.append_audio(b"\xff")


def context_of(pki: Path) -> ssl.SSLContext:
    """Issue what a server on this machine shows."""
    create_authority(pki)
    issue(pki, Role.EDGE, "localhost")
    files = TlsFiles.of(pki, Role.EDGE, "localhost")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate, files.key)
    return context


def trusting(pki: Path) -> ssl.SSLContext:
    return ssl.create_default_context(
        cafile=TlsFiles.of(pki, Role.EDGE, "localhost").ca
    )


async def test_a_session_over_tls_is_opened_and_read_in_a_busy_process(
    tmp_path: Path,
) -> None:
    tls = context_of(tmp_path)
    async with agent(tls, trusting(tmp_path)) as (where, batcher):
        session = await opened(where)
        call = Hearer()
        session.bind(call)
        batcher.tick.passed(100_000)
        for told in range(1, 4):
            session.send(b"{}")
            await call.until_told(told)
        session.close()


async def test_a_server_whose_certificate_is_not_trusted_gets_no_session(
    tmp_path: Path,
) -> None:
    tls = context_of(tmp_path / "theirs")
    create_authority(tmp_path / "ours")
    async with agent(tls, trusting(tmp_path / "ours")) as (where, _):
        with pytest.raises(RealtimeConnectError):
            await opened(where)
    async with agent(tls) as (where, _):  # what Python trusts, which is not this
        with pytest.raises(RealtimeConnectError):
            await opened(where)


async def test_a_url_that_is_none_is_a_failure_to_connect() -> None:
    reads = ReadGroup(Batcher())
    where = RealtimeEndpoint("http://localhost", "m", Secret("sk-test"), reads)
    with pytest.raises(RealtimeConnectError):
        await opened(where)
    reads.close()
