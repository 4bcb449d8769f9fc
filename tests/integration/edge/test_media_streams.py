"""Media Streams over a real socket, against an edge with a scripted agent."""

import asyncio
import base64
import contextlib
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from twilio.request_validator import RequestValidator
from websockets.exceptions import ConnectionClosed, InvalidStatus

from backhaul.core.messages import Clear, CloseReason
from backhaul.pki import Role, issue, server_context
from backhaul.settings import Region
from backhaul.transports.listener import serve_links
from edge.service import Edge
from tests.integration.edge.streams import (
    AUDIO,
    AUTH_TOKEN,
    GREETING_AUDIO,
    close_code,
    heard,
    media,
    rare,
    ring,
    start,
    stream,
    until,
)

if TYPE_CHECKING:
    from tests.integration.conftest import Bench, MakeBench


async def test_a_call_from_greeting_to_hang_up(bench: "Bench", wait: Any) -> None:
    url = await ring(bench)
    async with stream(bench, url) as socket:
        await socket.send('{"event":"connected","protocol":"Call","version":"1.0.0"}')
        await socket.send(start())
        assert await heard(socket, at_least=len(GREETING_AUDIO)) == GREETING_AUDIO
        await wait(lambda: bool(bench.agent.calls))
        call = bench.agent.calls[0]
        assert call.message.greeting_text == "Hello."
        assert call.message.lease_id == bench.agent.requests[0].lease_id
        sent = b""
        for number in range(200):
            audio = bytes([number]) * 160
            sent += audio
            await socket.send(media(audio))
        await wait(lambda: bytes(call.audio) == sent)
        call.channel.send_audio(AUDIO * 10)
        assert await heard(socket, at_least=1600) == AUDIO * 10
        call.channel.send(Clear())
        await until(socket, {"event": "clear", "streamSid": "MZ1"})
        await socket.send(rare("stop", callSid="CA1", accountSid="AC1"))
        assert await close_code(socket) == 1000
    await wait(lambda: call.closed is CloseReason.CALLER_HUNG_UP)
    assert len(bench.edge.calls) == 0


async def test_without_a_greeting_the_model_is_told_so(
    bench: "Bench", wait: Any
) -> None:
    url = await ring(bench, bench.sids() | {"To": "+14155550101"})
    async with stream(bench, url) as socket:
        await socket.send(start())
        await wait(lambda: bool(bench.agent.calls))
        assert bench.agent.calls[0].message.greeting_text == ""


async def test_who_may_not_open_a_stream(bench: "Bench") -> None:
    url = await ring(bench)
    other = url[:-4] + "AAAA"
    attempts: list[tuple[str, str | None]] = [
        (url, ""),
        (url, "AAAA"),
        (url, RequestValidator("another key").compute_signature(url, {})),
        (url, RequestValidator(AUTH_TOKEN).compute_signature(other, {})),
        (other, None),
        ("wss://voice.example.com/twilio/media/", None),
        ("wss://voice.example.com/twilio/elsewhere", None),
    ]
    statuses: list[int] = []
    for attempt, signature in attempts:
        with pytest.raises(InvalidStatus) as refused:
            async with stream(bench, attempt, signature=signature):
                pass
        statuses.append(refused.value.response.status_code)
    assert statuses == [403, 403, 403, 403, 403, 403, 404]
    assert bench.agent.calls == []
    async with stream(bench, url):
        pass  # the real one still may


async def test_a_token_admits_once(bench: "Bench") -> None:
    url = await ring(bench)
    async with stream(bench, url) as first:
        await first.send(start())
        with pytest.raises(InvalidStatus) as refused:
            async with stream(bench, url):
                pass
        assert refused.value.response.status_code == 403
        assert len(await heard(first, at_least=1)) > 0


async def test_a_late_token_admits_nothing_and_frees_its_session(
    make_bench: "MakeBench", wait: Any
) -> None:
    bench = await make_bench(token_ttl_s=0.05)
    url = await ring(bench)
    await wait(lambda: bool(bench.agent.released))
    with pytest.raises(InvalidStatus):
        async with stream(bench, url):
            pass
    assert bench.agent.calls == []


async def test_a_token_of_another_call_is_refused_at_start(bench: "Bench") -> None:
    url = await ring(bench)
    async with stream(bench, url) as socket:
        await socket.send(start(call_number=2))
        assert await close_code(socket) == 1008
    assert bench.agent.calls == []


async def test_start_must_come_in_time(make_bench: "MakeBench", wait: Any) -> None:
    bench = await make_bench(start_timeout_s=1.0)
    url = await ring(bench)
    async with stream(bench, url) as socket:
        assert await close_code(socket) == 1008
    await wait(lambda: len(bench.agent.released) == 1)


VIOLATIONS = [
    pytest.param([start(), start()], id="second start"),
    pytest.param([media()], id="media before start"),
    pytest.param([start(), media().replace("MZ1", "MZ2")], id="wrong streamSid"),
    pytest.param([start().replace("x-mulaw", "l16")], id="wrong codec"),
    pytest.param([start(), b"\x00"], id="binary frame"),
    pytest.param([start()] + [media(payload="@@@")] * 30, id="30 bad frames"),
]


@pytest.mark.parametrize("messages", VIOLATIONS)
async def test_a_violation_closes_that_stream_alone(
    bench: "Bench", messages: list[str | bytes], wait: Any
) -> None:
    other_url = await ring(bench, bench.sids(2))
    url = await ring(bench)
    async with stream(bench, other_url) as other, stream(bench, url) as socket:
        await other.send(start(call_number=2))
        await heard(other, at_least=len(GREETING_AUDIO))
        for message in messages:
            await socket.send(message)
        assert await close_code(socket) == 1008
        assert bench.metric("edge_media_streams_total", outcome="failed") == 1
        await other.send(media())
        await wait(lambda: bytes(bench.agent.calls[0].audio) == AUDIO)


async def test_bad_frames_are_dropped_and_counted(bench: "Bench", wait: Any) -> None:
    url = await ring(bench)
    async with stream(bench, url) as socket:
        await socket.send(start())
        for message in (
            media(payload="@@@"),
            media(payload="abc"),
            media(payload=""),
            media(track="outbound"),
            '{"event":"media","streamSid":' + "[" * 10_000,
            "nonsense",
            media(),
        ):
            await socket.send(message)
        await wait(lambda: bool(bench.agent.calls))
        await wait(lambda: bytes(bench.agent.calls[0].audio) == AUDIO)
        await socket.send(rare("stop"))
        await close_code(socket)
    await wait(lambda: bench.metric("edge_media_frames_total", outcome="dropped") == 6)


async def test_an_oversized_message_closes_the_stream(
    bench: "Bench", wait: Any
) -> None:
    url = await ring(bench)
    async with stream(bench, url) as socket:
        await socket.send(start())
        await heard(socket, at_least=len(GREETING_AUDIO))
        await socket.send(media(bytes(100_000)))
        assert await close_code(socket) in {1008, 1009, None}
    await wait(lambda: bench.agent.calls[0].closed is CloseReason.MEDIA_STREAM_INVALID)


async def test_fragments_are_joined_and_endless_ones_refused(
    bench: "Bench", wait: Any
) -> None:
    url = await ring(bench)
    async with stream(bench, url) as socket:
        await socket.send(start())
        text = media()
        await socket.send(iter([text[:100], text[100:101], text[101:]]))
        await wait(lambda: bool(bench.agent.calls))
        await wait(lambda: bytes(bench.agent.calls[0].audio) == AUDIO)
        with contextlib.suppress(ConnectionClosed):
            await socket.send(iter(["x"] * 100_000))
        assert await close_code(socket) in {1008, None}


async def test_a_stream_without_audio_ends_cleanly(bench: "Bench", wait: Any) -> None:
    url = await ring(bench)
    async with stream(bench, url) as socket:
        await socket.send(start())
        await socket.send(rare("stop"))
        assert await close_code(socket) == 1000
    await wait(lambda: bench.agent.calls[0].closed is CloseReason.CALLER_HUNG_UP)
    assert len(bench.edge.calls) == 0


async def test_an_edge_that_stops_hears_callers_answer_its_goodbye(
    bench: "Bench", wait: Any
) -> None:
    async with stream(bench, await ring(bench)) as socket:
        await socket.send(start())
        await wait(lambda: bool(bench.agent.calls))
        await bench.edge.stop()
        assert await close_code(socket) == 1000
        await socket.wait_closed()
        assert socket.connection_exc is None  # not reset, as by bytes that nobody reads


async def test_a_silent_peer_is_pinged_and_given_up(
    make_bench: "MakeBench", wait: Any
) -> None:
    bench = await make_bench(media_idle_timeout_s=0.3)
    url = await ring(bench)
    path = url.removeprefix("wss://voice.example.com")
    signature = RequestValidator(AUTH_TOKEN).compute_signature(url, {})
    _, writer = await asyncio.open_connection("127.0.0.1", bench.edge.media_port)
    head = (
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}\r\n"
        f"X-Twilio-Signature: {signature}\r\n\r\n"
    )
    body = start().encode()
    # Masked with zeros: the payload stays as it is.
    frame = b"\x81\xfe" + len(body).to_bytes(2, "big") + bytes(4) + body
    writer.write(head.encode() + frame)
    await wait(lambda: bool(bench.agent.calls))
    await wait(lambda: bench.agent.calls[0].closed is not None)
    writer.close()


async def test_a_peer_that_does_not_read_is_cut_off(
    make_bench: "MakeBench", wait: Any
) -> None:
    bench = await make_bench(max_backlog_bytes=65536)
    url = await ring(bench)
    async with stream(bench, url) as socket:
        await socket.send(start())
        await wait(lambda: bool(bench.agent.calls))
        await socket.send(media())
        await wait(lambda: bool(bench.agent.calls[0].audio))
        socket.transport.pause_reading()
        call = bench.agent.calls[0]
        async with asyncio.timeout(30):
            while call.closed is None:
                call.channel.send_audio(bytes(60_000))
                await asyncio.sleep(0.01)
        assert call.closed is CloseReason.MEDIA_STREAM_INVALID
        # It is counted when its socket is gone, unread bytes and all.
        name = "edge_media_frames_total"
        await wait(lambda: bench.metric(name, outcome="received") == 1)
        socket.transport.resume_reading()


async def test_nothing_personal_is_logged(
    bench: "Bench", wait: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    url = await ring(bench)
    async with stream(bench, url) as socket:
        await socket.send(start())
        await socket.send(rare("dtmf", digit="7", track="inbound_track"))
        await socket.send("caller said something private")
        await socket.send(rare("stop"))
        await close_code(socket)
    await bench.post(signature="forged")
    await wait(lambda: len(bench.edge.calls) == 0)
    out, err = capfd.readouterr()
    logged = out + err
    assert "call.ended" in logged
    for secret in (
        "+14155550123",
        "+14155550100",
        AUTH_TOKEN,
        url.rpartition("/")[2],
        "private",
        "Hello.",
        "forged",
    ):
        assert secret not in logged


async def test_the_admin_listener_needs_its_token(bench: "Bench") -> None:
    base = f"http://127.0.0.1:{bench.edge.admin_port}"
    paths = ("/livez", "/readyz", "/metrics", "/api/fabric", "/api/calls")
    good = {"Authorization": "Bearer admin"}
    for path in paths:
        for headers in ({"Authorization": "Bearer x"}, {"Authorization": "admin"}):
            async with bench.http.get(base + path, headers=headers) as response:
                assert response.status == 401
        async with bench.http.get(base + path, headers=good) as response:
            assert response.status == 200
    async with bench.http.get(base + "/api/fabric", headers=good) as response:
        fabric = await response.json()
    agent = fabric["regions"][0]["agents"][0]
    assert agent["link"] == "ready"
    assert agent["transport"] == "quic"
    assert agent["greetings"] == ["greeted"]


async def test_an_agent_of_another_region_is_no_agent(
    make_bench: "MakeBench", tmp_path: Any, wait: Any
) -> None:
    """An edge talks to whom it meant to reach, not to any valid certificate."""
    bench = await make_bench()
    impostor = bench.agent
    for role, name in ((Role.REGION_AGENT, "elsewhere"), (Role.EDGE, "home")):
        context = server_context(issue(tmp_path, role, name))
        server = await serve_links(impostor.accept, "127.0.0.1", 0, context=context)
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        regions = {"home": Region(agents=(address,))}
        known = len(impostor.peers)
        other = await _edge_with(bench, regions)
        await wait(lambda known=known: len(impostor.peers) > known)
        assert not other.links.agents[address].ready
        await other.stop()
        server.close()


async def _edge_with(bench: "Bench", regions: dict[str, Any]) -> Any:
    other = Edge(msgspec.structs.replace(bench.settings, regions=regions))
    await other.start()
    return other
