"""How a Realtime session is opened, and what may go wrong with it."""

import asyncio
import contextlib
import json
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus

import pytest
from websockets.asyncio.server import ServerConnection

from backhaul.batcher import Batcher
from backhaul.clock import monotonic_s
from backhaul.errors import RealtimeConnectError, RealtimeRateLimitedError
from backhaul.read_group import ReadGroup
from backhaul.settings import Secret
from region_agent.realtime import RealtimeCounters
from region_agent.realtime_open import RealtimeEndpoint, open_session
from tests.integration.region_agent.realtime_server import (
    CREATED,
    PROFILE,
    endpoint,
    greet,
    opened,
)


async def test_opens_in_three_steps() -> None:
    async def script(connection: ServerConnection) -> None:
        await greet(connection, lifetime_s=1800)
        await connection.wait_closed()

    async with endpoint(script) as where:
        session, _ = await opened(where)
        assert session.session_id == "sess_1"
        assert 1790 < session.expires_at - monotonic_s() <= 1800
        session.close()


async def refusal(where: RealtimeEndpoint) -> RealtimeConnectError:
    with pytest.raises(RealtimeConnectError) as refused:
        await open_session(where, PROFILE, RealtimeCounters())
    assert "sk-test" not in str(refused.value)
    return refused.value


async def never(connection: ServerConnection) -> None:  # noqa: ARG001
    raise AssertionError("nothing should get here")


async def test_an_http_refusal_tells_its_status() -> None:
    async with endpoint(never, refuse=(HTTPStatus.UNAUTHORIZED, {})) as where:
        assert (await refusal(where)).reason == "HTTP 401"


@pytest.mark.parametrize(
    ("header", "least_s", "most_s"),
    [
        ({"Retry-After": "7"}, 7, 7),
        ({"Retry-After": "9" * 400}, 3600, 3600),
        ({"Retry-After": format_datetime(datetime(2001, 1, 1, tzinfo=UTC))}, 0, 0),
        ({"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}, 3600, 3600),
        ({"Retry-After": "soon"}, None, None),
        ({}, None, None),
    ],
)
async def test_a_rate_limit_tells_how_long_to_wait(
    header: dict[str, str], least_s: float | None, most_s: float | None
) -> None:
    async with endpoint(never, refuse=(HTTPStatus.TOO_MANY_REQUESTS, header)) as where:
        with pytest.raises(RealtimeRateLimitedError) as refused:
            await open_session(where, PROFILE, RealtimeCounters())
    assert refused.value.retry_after_s in {least_s, most_s}


async def test_every_step_has_its_time() -> None:
    async def silent(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async def half(connection: ServerConnection) -> None:
        await connection.send(json.dumps(CREATED))
        await connection.wait_closed()

    async with endpoint(silent, open_timeout_s=0.2) as where:
        assert (await refusal(where)).reason == "no session.created within 0.2 s"
    async with endpoint(half, open_timeout_s=0.2) as where:
        assert (await refusal(where)).reason == "no session.updated within 0.2 s"


async def test_a_server_that_hangs_up_in_the_handshake_fails_at_once() -> None:
    async def hang_up(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with contextlib.closing(ReadGroup(Batcher())) as reads:
        async with server, asyncio.timeout(30):
            where = RealtimeEndpoint(
                url=f"ws://127.0.0.1:{port}/v1/realtime",
                model="gpt-realtime-2.1",
                api_key=Secret("sk-test"),
                reads=reads,
                open_timeout_s=60.0,
            )
            assert (await refusal(where)).reason == "closed during the handshake"


async def test_an_error_or_a_close_while_opening_is_a_failure() -> None:
    async def refuse_update(connection: ServerConnection) -> None:
        await connection.send(json.dumps(CREATED))
        await connection.recv()
        error = {"type": "invalid_request_error", "code": "invalid_value"}
        await connection.send(json.dumps({"type": "error", "error": error}))
        await connection.wait_closed()

    async def limit(connection: ServerConnection) -> None:
        error = {"type": "rate_limit_error"}
        await connection.send(json.dumps({"type": "error", "error": error}))
        await connection.wait_closed()

    async def close(connection: ServerConnection) -> None:
        await connection.close(1013)

    async with endpoint(refuse_update) as where:
        assert (await refusal(where)).reason == "error invalid_value"
    async with endpoint(close) as where:
        assert (await refusal(where)).reason == "closed by the server (1013)"
    async with endpoint(limit) as where:
        with pytest.raises(RealtimeRateLimitedError):
            await open_session(where, PROFILE, RealtimeCounters())
