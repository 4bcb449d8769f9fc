"""What the official ``openai`` package meets when the stand-in misbehaves."""

import asyncio
from typing import Any

import aiohttp
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from backhaul.core.g711 import SILENCE
from lab.realtime import RealtimeServer
from lab.speech_files import load_line
from tests.interop.sdk import (
    DEADLINE_S,
    MODEL,
    PACED,
    Json,
    Judged,
    connected,
    judge,
    openai_client,
    running,
)


async def misbehave(server: RealtimeServer, kind: str, **more: Any) -> Json:
    async with (
        aiohttp.ClientSession() as http,
        http.post(
            f"{server.control_url}/lab/misbehave", json={"kind": kind, **more}
        ) as answer,
    ):
        assert answer.status == 200
        result: Json = await answer.json()
        return result


@pytest.mark.parametrize(
    ("kind", "status"), [("rate_limited", 429), ("server_error", 503)]
)
async def test_refused_connections(kind: str, status: int) -> None:
    async with running() as server, openai_client(server) as client:
        await misbehave(server, kind, count=1, seconds=7)
        with pytest.raises(InvalidStatus) as caught:
            await client.realtime.connect(model=MODEL).enter()
        response = caught.value.response
        assert response.status_code == status
        assert (response.headers.get("Retry-After") == "7") is (status == 429)
        async with connected(server) as second:
            await second.configure()


async def stays_silent(client: Judged) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await client.sdk.recv_bytes()


async def test_a_silent_connection() -> None:
    async with running() as server, openai_client(server) as client:
        await misbehave(server, "silent")
        async with client.realtime.connect(model=MODEL) as connection:
            await connection.response.create()
            # What another connection is told proves that this one had its chance.
            async with connected(server) as second:
                await second.configure()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await connection.recv_bytes()


async def test_a_socket_closed_in_the_middle_of_a_response() -> None:
    async with running(PACED) as server, connected(server) as client:
        await misbehave(server, "close_1011")
        await client.configure()
        await client.sdk.response.create()
        with pytest.raises(ConnectionClosed) as caught:
            await client.until("response.done")
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1011
        assert "response.output_audio.delta" in client.types()


async def test_slow_first_audio() -> None:
    async with running() as server, connected(server) as client:
        await misbehave(server, "slow_first_audio", seconds=0.5)
        await client.sdk.response.create()
        await client.until("response.done")
        (response,) = server.sessions[0].responses
        assert response.wire()["first_audio_ms"] >= 500


@pytest.mark.parametrize("kind", ["malformed", "unknown_event"])
async def test_events_that_are_none_of_the_api(kind: str) -> None:
    async with running() as server, connected(server) as client:
        await misbehave(server, kind)
        await client.sdk.response.create()
        strange: list[str] = []
        event: Json = {}
        while event.get("type") != "response.done":
            async with asyncio.timeout(DEADLINE_S):
                raw = await client.sdk.recv_bytes()
            try:
                event = judge(raw)
            except ValueError:
                strange.append("not JSON")
            except KeyError as error:
                strange.append(str(error.args[0]))
        if kind == "malformed":
            assert strange == ["not JSON", "type"]
        else:
            assert set(strange) == {"response.output_mood.delta"}


async def test_a_failed_response() -> None:
    async with running() as server, connected(server) as client:
        await misbehave(server, "failed_response")
        await client.sdk.response.create()
        response = (await client.until("response.done"))["response"]
        assert response["status"] == "failed"
        assert response["status_details"]["error"]["code"] == "server_error"
        assert "response.output_audio.delta" not in client.types()


async def test_a_delta_after_the_end() -> None:
    async with running() as server, connected(server) as client:
        await misbehave(server, "delta_after_done")
        await client.sdk.response.create()
        await client.until("response.done")
        await client.until("response.output_audio.delta")


async def test_a_session_that_expires_now() -> None:
    async with running() as server, connected(server) as client:
        assert (await misbehave(server, "expire_now"))["struck"] == 1
        assert (await client.until("error"))["error"]["code"] == "session_expired"
        with pytest.raises(ConnectionClosed) as caught:
            await client.until("error")
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1001


async def test_a_session_that_is_born_a_zombie() -> None:
    async with running() as server:
        await misbehave(server, "zombie")
        async with connected(server) as client:
            await client.sdk.session.update(session={"type": "realtime"})
            await client.until("session.updated")
            await client.sdk.input_audio_buffer.clear()
            await client.sdk.response.create()
            await stays_silent(client)


async def test_a_session_that_becomes_a_zombie() -> None:
    async with running() as server, connected(server) as client:
        await client.sdk.input_audio_buffer.clear()
        await client.until("input_audio_buffer.cleared")
        assert (await misbehave(server, "zombie_now"))["struck"] == 1
        await client.sdk.input_audio_buffer.clear()
        await stays_silent(client)


async def test_a_session_that_becomes_mute_answers_all_but_the_caller() -> None:
    async with running() as server, connected(server) as client:
        assert (await misbehave(server, "mute_now"))["struck"] == 1
        await client.sdk.response.create()
        await client.sdk.input_audio_buffer.clear()
        await client.until("input_audio_buffer.cleared")
        assert "response.created" not in client.types()


async def test_a_session_that_becomes_deaf_notices_neither_end_nor_beginning() -> None:
    line = load_line("caller-1").audio
    silence = SILENCE * 8000
    async with running() as server, connected(server) as client:
        await client.configure()
        await client.say(line[:12_000])
        await client.until("input_audio_buffer.speech_started")
        assert (await misbehave(server, "deaf_now"))["struck"] == 1
        await client.say(line[12_000:] + silence + line + silence)
        await client.sdk.input_audio_buffer.clear()
        await client.until("input_audio_buffer.cleared")
        heard = [one for one in client.types() if "speech" in one]
        assert heard == ["input_audio_buffer.speech_started"]


async def test_misbehaviour_can_be_called_off_and_nonsense_is_refused() -> None:
    async with running() as server, aiohttp.ClientSession() as http:
        planned = await misbehave(server, "rate_limited", count=9)
        assert planned["pending"] == {"rate_limited": 9}
        assert (await misbehave(server, "none"))["pending"] == {}
        for body in (b"{", b'{"kind":"dance"}', b'{"kind":"none","count":0}', b"[]"):
            url = f"{server.control_url}/lab/misbehave"
            async with http.post(url, data=body) as answer:
                assert answer.status == 400
