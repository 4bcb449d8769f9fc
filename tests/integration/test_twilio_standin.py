"""The Twilio stand-in against a webhook and a Media Streams server of its own."""

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from twilio.request_validator import RequestValidator
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from lab.twilio import CallPlan, CallReport, Turn, TwilioStandIn

TOKEN = "0123456789abcdef"
ACCOUNT = "AC" + "0" * 32
TONE = b"\x10\x90" * 80
SPEECH = bytes(range(0x60)) * 40

Talk = Callable[["Edge", ServerConnection, str], Awaitable[None]]


@dataclass
class Edge:
    """What the double of an edge saw, and what it answers."""

    base: str = ""
    stream_url: str = ""
    twiml: dict[str, list[str]] = field(default_factory=dict)
    posts: list[tuple[str, dict[str, str], dict[str, str]]] = field(
        default_factory=list
    )
    messages: list[dict[str, Any]] = field(default_factory=list)
    handshakes: list[dict[str, str]] = field(default_factory=list)
    refuses: bool = False
    talk: Talk | None = None

    def paths(self) -> list[str]:
        return [path for path, _, _ in self.posts]

    def heard(self) -> bytes:
        return b"".join(
            base64.b64decode(message["media"]["payload"])
            for message in self.messages
            if message["event"] == "media"
        )

    def names(self, event: str) -> list[str]:
        return [m["mark"]["name"] for m in self.messages if m["event"] == event]

    def connect(self, inner: str = "", attributes: str = "") -> str:
        stream = f"<Stream url='{self.stream_url}'>{inner}</Stream>"
        return f"<Connect {attributes}>{stream}</Connect>"

    async def answer(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.posts.append((request.path, form, dict(request.headers)))
        queued = self.twiml.get(request.path)
        if not queued:
            return web.Response(status=404)
        inner = queued.pop(0)
        if inner == "broken":
            return web.Response(text="<Response>", content_type="text/xml")
        return web.Response(
            text=f"<Response>{inner}</Response>", content_type="text/xml"
        )

    async def stream(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.handshakes.append(dict(socket.request.headers.raw_items()))
        try:
            async for text in socket:
                message = json.loads(text)
                self.messages.append(message)
                if message["event"] == "start" and self.talk is not None:
                    await self.talk(self, socket, message["streamSid"])
        except ConnectionClosed:
            return

    def check(self, _socket: ServerConnection, request: Request) -> Response | None:
        del request
        return _socket.respond(403, "no") if self.refuses else None


def media(stream_sid: str, audio: bytes) -> str:
    payload = base64.b64encode(audio).decode()
    message = {"event": "media", "streamSid": stream_sid, "media": {"payload": payload}}
    return json.dumps(message)


def mark(stream_sid: str, name: str) -> str:
    message = {"event": "mark", "streamSid": stream_sid, "mark": {"name": name}}
    return json.dumps(message)


async def greet(edge: Edge, socket: ServerConnection, stream_sid: str) -> None:
    del edge
    await socket.send(media(stream_sid, TONE * 10))
    await socket.send(mark(stream_sid, "greeting"))


@pytest_asyncio.fixture
async def edge() -> AsyncIterator[Edge]:
    double = Edge()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", double.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server: Server = await serve(
        double.stream, "127.0.0.1", 0, process_request=double.check
    )
    double.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    port = next(iter(server.sockets)).getsockname()[1]
    double.stream_url = f"ws://127.0.0.1:{port}/twilio/media/tok"
    yield double
    server.close()
    await server.wait_closed()
    await runner.cleanup()


@pytest_asyncio.fixture
async def stand_in() -> AsyncIterator[TwilioStandIn]:
    caller = TwilioStandIn(ACCOUNT, TOKEN)
    yield caller
    await caller.aclose()


def plan(edge: Edge, **changes: Any) -> CallPlan:
    defaults: dict[str, Any] = {
        "webhook_url": f"{edge.base}/twilio/voice",
        "from_number": "+493012345678",
        "to_number": "+14155550123",
        "quiet_s": 0.1,
        "reply_timeout_s": 5.0,
        "max_duration_s": 20.0,
    }
    return CallPlan(**{**defaults, **changes})


def assert_exact(report: CallReport, edge: Edge) -> None:
    assert report.sent.bytes == len(edge.heard())
    assert report.sent.sha256 == hashlib.sha256(edge.heard()).hexdigest()
    assert report.received_audio == TONE * 20
    assert report.received.sha256 == hashlib.sha256(TONE * 20).hexdigest()
    assert report.heard.count(TONE * 10) == 2
    assert json.loads(report.to_json())["received"]["bytes"] == len(TONE) * 20


async def test_a_spoken_call_from_ring_to_hang_up(
    edge: Edge, stand_in: TwilioStandIn
) -> None:
    async def talk(edge: Edge, socket: ServerConnection, stream_sid: str) -> None:
        await greet(edge, socket, stream_sid)
        while SPEECH not in edge.heard():
            edge.messages.append(json.loads(await socket.recv()))
        await socket.send(media(stream_sid, TONE * 5))
        await socket.send(media(stream_sid, TONE * 5))

    edge.talk = talk
    parameters = "<Parameter name='traceparent' value='00-1'/>"
    edge.twiml["/twilio/voice"] = [edge.connect(parameters, "action='/after'")]
    edge.twiml["/after"] = [""]
    edge.twiml["/twilio/status"] = [""]
    report = await stand_in.place_call(
        plan(
            edge,
            turns=(Turn(SPEECH),),
            dtmf=((0.05, "5"),),
            status_callback=f"{edge.base}/twilio/status",
        )
    )

    assert report.errors == ()
    assert report.answered
    assert report.ended_by == "caller"
    assert report.first_audio_ms is not None
    assert 0 <= report.first_audio_ms < 1000
    (turn,) = report.turns
    assert turn.reply_first_audio_ms is not None
    assert 0 <= turn.reply_first_audio_ms < 2000
    assert turn.interrupted_stop_ms is None
    assert_exact(report, edge)
    assert (report.marks, report.marks_echoed, report.clears) == (1, 1, 0)
    assert report.custom_parameters == {"traceparent": "00-1"}
    assert edge.paths() == ["/twilio/voice", "/after", "/twilio/status"]
    statuses = [form["CallStatus"] for _, form, _ in edge.posts]
    assert statuses == ["ringing", "completed", "completed"]
    assert edge.posts[2][1]["CallDuration"].isdigit()


async def test_messages_are_exactly_as_documented(
    edge: Edge, stand_in: TwilioStandIn
) -> None:
    edge.talk = greet
    edge.twiml["/twilio/voice"] = [edge.connect()]
    report = await stand_in.place_call(plan(edge, dtmf=((0.0, "#"),)))

    stream_sid = report.stream_sids[0]
    assert edge.messages[0] == {
        "event": "connected",
        "protocol": "Call",
        "version": "1.0.0",
    }
    assert edge.messages[1] == {
        "event": "start",
        "sequenceNumber": "1",
        "streamSid": stream_sid,
        "start": {
            "accountSid": ACCOUNT,
            "callSid": report.call_sid,
            "streamSid": stream_sid,
            "tracks": ["inbound"],
            "mediaFormat": {
                "encoding": "audio/x-mulaw",
                "sampleRate": 8000,
                "channels": 1,
            },
            "customParameters": {},
        },
    }
    first, second = [m for m in edge.messages if m["event"] == "media"][:2]
    assert first["media"]["track"] == "inbound"
    assert (first["media"]["chunk"], first["media"]["timestamp"]) == ("1", "0")
    assert (second["media"]["chunk"], second["media"]["timestamp"]) == ("2", "20")
    assert base64.b64decode(first["media"]["payload"]) == b"\xff" * 160
    numbers = [int(m["sequenceNumber"]) for m in edge.messages[1:]]
    assert numbers == list(range(1, len(numbers) + 1))
    (dtmf,) = [m for m in edge.messages if m["event"] == "dtmf"]
    assert dtmf["dtmf"] == {"track": "inbound_track", "digit": "#"}
    assert edge.names("mark") == ["greeting"]
    assert edge.messages[-1]["event"] == "stop"
    assert edge.messages[-1]["stop"] == {
        "accountSid": ACCOUNT,
        "callSid": report.call_sid,
    }


async def test_webhook_and_socket_carry_twilios_signatures(
    edge: Edge, stand_in: TwilioStandIn
) -> None:
    edge.talk = greet
    edge.twiml["/twilio/voice"] = [edge.connect()]
    url = f"{edge.base}/twilio/voice?a=b%20c"
    await stand_in.place_call(plan(edge, webhook_url=f"{url}#rc=2"))

    validator = RequestValidator(TOKEN)
    _, form, headers = edge.posts[0]
    assert headers["X-Twilio-Signature"] == validator.compute_signature(url, form)
    assert headers["I-Twilio-Idempotency-Token"]
    assert form["FromCountry"] == "DE"
    assert form["Direction"] == "inbound"
    (handshake,) = edge.handshakes
    signature = validator.compute_signature(edge.stream_url, {})
    assert handshake["x-twilio-signature"] == signature
    assert "Sec-WebSocket-Extensions" not in handshake


async def test_clear_returns_pending_marks_and_silences_the_assistant(
    edge: Edge, stand_in: TwilioStandIn
) -> None:
    async def talk(edge: Edge, socket: ServerConnection, stream_sid: str) -> None:
        await socket.send(media(stream_sid, TONE * 500))
        await socket.send(mark(stream_sid, "e1"))
        while SPEECH[:800] not in edge.heard():
            edge.messages.append(json.loads(await socket.recv()))
        await socket.send(json.dumps({"event": "clear", "streamSid": stream_sid}))
        while SPEECH not in edge.heard():
            edge.messages.append(json.loads(await socket.recv()))
        await socket.send(media(stream_sid, TONE * 5))

    edge.talk = talk
    edge.twiml["/twilio/voice"] = [edge.connect()]
    report = await stand_in.place_call(
        plan(edge, turns=(Turn(SPEECH, interrupt_after_s=0.3),))
    )
    assert report.errors == ()
    assert (report.clears, report.marks_echoed) == (1, 1)
    assert edge.names("mark") == ["e1"]
    (turn,) = report.turns
    assert turn.interrupted_stop_ms is not None
    assert 0 < turn.interrupted_stop_ms < 3000
    assert turn.reply_first_audio_ms is not None
    assert len(report.heard.strip(b"\xff")) < 500 * len(TONE)


async def test_when_the_edge_closes_the_action_decides_what_follows(
    edge: Edge, stand_in: TwilioStandIn
) -> None:
    async def talk(edge: Edge, socket: ServerConnection, stream_sid: str) -> None:
        if len(edge.handshakes) == 1:
            await socket.close(1000)
        else:
            await greet(edge, socket, stream_sid)

    edge.talk = talk
    edge.twiml["/twilio/voice"] = [edge.connect(attributes="action='resume/1'")]
    edge.twiml["/twilio/resume/1"] = ["<Redirect>/again</Redirect>"]
    edge.twiml["/again"] = [edge.connect()]
    report = await stand_in.place_call(plan(edge))
    assert edge.paths() == ["/twilio/voice", "/twilio/resume/1", "/again"]
    assert edge.posts[1][1]["CallStatus"] == "in-progress"
    assert len(set(report.stream_sids)) == 2
    assert report.close_codes == (1000, 1000)
    assert report.errors == ()
    assert report.heard.count(TONE * 10) == 1


async def test_without_an_action_the_next_verb_follows(
    edge: Edge, stand_in: TwilioStandIn
) -> None:
    async def talk(_edge: Edge, socket: ServerConnection, _stream_sid: str) -> None:
        await socket.close(1011)

    edge.talk = talk
    edge.twiml["/twilio/voice"] = [edge.connect() + "<Say>Sorry</Say><Dial>+1</Dial>"]
    report = await stand_in.place_call(plan(edge))
    assert report.verbs[1:] == ("Say Sorry", "Dial +1", "Hangup")
    assert report.ended_by == "twiml"
    assert report.close_codes == (1011,)


async def test_a_refused_handshake_is_31920_and_goes_to_the_action(
    edge: Edge, stand_in: TwilioStandIn
) -> None:
    edge.refuses = True
    edge.twiml["/twilio/voice"] = [edge.connect(attributes="action='/after'")]
    edge.twiml["/after"] = ["<Hangup/>"]
    report = await stand_in.place_call(plan(edge))
    assert [error.code for error in report.errors] == [31920]
    assert edge.paths() == ["/twilio/voice", "/after"]
    assert not report.answered


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"\x00\x01", 31950),
        ("not json", 31951),
        ('{"event":"hello"}', 31951),
        ('{"event":"clear","streamSid":"MZ0"}', 31951),
        ('{"event":"media","streamSid":"SID","media":{"payload":"?"}}', 31951),
        ('{"event":"media","streamSid":"SID","media":{"payload":""}}', 31951),
        ('{"event":"mark","streamSid":"SID","mark":{}}', 31951),
        ("[" * 100_000, 31951),
    ],
)
async def test_what_twilio_does_not_accept_ends_the_stream(
    edge: Edge, stand_in: TwilioStandIn, message: str | bytes, code: int
) -> None:
    async def talk(_edge: Edge, socket: ServerConnection, stream_sid: str) -> None:
        if isinstance(message, str):
            await socket.send(message.replace("SID", stream_sid))
        else:
            await socket.send(message)

    edge.talk = talk
    edge.twiml["/twilio/voice"] = [edge.connect(attributes="action='/after'")]
    edge.twiml["/after"] = ["<Hangup/>"]
    report = await stand_in.place_call(plan(edge))
    assert [error.code for error in report.errors] == [code]
    assert edge.paths() == ["/twilio/voice", "/after"]


async def test_a_dead_edge_is_a_close_error(
    edge: Edge, stand_in: TwilioStandIn
) -> None:
    async def talk(_edge: Edge, socket: ServerConnection, _stream_sid: str) -> None:
        socket.transport.abort()

    edge.talk = talk
    edge.twiml["/twilio/voice"] = [edge.connect()]
    report = await stand_in.place_call(plan(edge))
    assert [error.code for error in report.errors] == [31921]
    assert report.ended_by == "twiml"


@pytest.mark.parametrize(
    ("twiml", "code"),
    [([], 11200), (["broken"], 12100), (["<Gather/>"], 12200)],
)
async def test_a_webhook_without_usable_twiml_ends_the_call(
    edge: Edge, stand_in: TwilioStandIn, twiml: list[str], code: int
) -> None:
    edge.twiml["/twilio/voice"] = twiml
    report = await stand_in.place_call(plan(edge))
    assert [error.code for error in report.errors] == [code]
    assert (report.answered, report.ended_by) == (False, "error")


async def test_the_fallback_url_is_asked_once(
    edge: Edge, stand_in: TwilioStandIn
) -> None:
    edge.twiml["/fallback"] = ["<Reject reason='busy'/>"]
    report = await stand_in.place_call(plan(edge, fallback_url=f"{edge.base}/fallback"))
    assert report.ended_by == "rejected"
    assert edge.posts[1][1]["ErrorCode"] == "11200"
    assert edge.posts[1][1]["ErrorUrl"] == f"{edge.base}/twilio/voice"


async def test_a_webhook_nobody_listens_for_is_11205(
    stand_in: TwilioStandIn, unused_tcp_port: int
) -> None:
    nowhere = Edge(base=f"http://127.0.0.1:{unused_tcp_port}")
    report = await stand_in.place_call(plan(nowhere))
    assert [error.code for error in report.errors] == [11205]


async def test_a_redirect_loop_ends(edge: Edge, stand_in: TwilioStandIn) -> None:
    edge.twiml["/twilio/voice"] = ["<Redirect>/twilio/voice</Redirect>"] * 100
    report = await stand_in.place_call(plan(edge))
    assert report.ended_by == "error"
    assert len(edge.posts) == 51


async def test_stream_status_callbacks_tell_start_and_stop(
    edge: Edge, stand_in: TwilioStandIn
) -> None:
    edge.talk = greet
    callback = f"statusCallback='{edge.base}/stream-status'"
    edge.twiml["/twilio/voice"] = [
        edge.connect().replace("<Stream ", f"<Stream {callback} ")
    ]
    edge.twiml["/stream-status"] = ["", ""]
    report = await stand_in.place_call(plan(edge))
    events = [form for path, form, _ in edge.posts if path == "/stream-status"]
    assert [form["StreamEvent"] for form in events] == [
        "stream-started",
        "stream-stopped",
    ]
    assert {form["StreamSid"] for form in events} == set(report.stream_sids)


async def test_a_caller_who_hears_nothing_gives_up(
    edge: Edge, stand_in: TwilioStandIn
) -> None:
    edge.twiml["/twilio/voice"] = [edge.connect()]
    report = await stand_in.place_call(
        plan(edge, turns=(Turn(SPEECH),), reply_timeout_s=0.3)
    )
    assert report.first_audio_ms is None
    assert [turn.reply_first_audio_ms for turn in report.turns] == [None]
    assert SPEECH in edge.heard()


async def test_the_call_ends_after_its_longest_duration(
    edge: Edge, stand_in: TwilioStandIn
) -> None:
    edge.twiml["/twilio/voice"] = [edge.connect()]
    report = await stand_in.place_call(plan(edge, max_duration_s=0.5))
    assert report.ended_by == "caller"
    assert 0.5 <= report.duration_s < 5


async def test_many_calls_keep_the_clock_together(
    edge: Edge, stand_in: TwilioStandIn
) -> None:
    edge.twiml["/twilio/voice"] = [edge.connect()] * 30
    reports = await asyncio.gather(
        *(
            stand_in.place_call(plan(edge, max_duration_s=3.0, hangs_up=False))
            for _ in range(30)
        )
    )
    for report in reports:
        assert report.errors == ()
        start_ms = next(at for at, what in report.timeline if what == "start")
        end_ms = next(at for at, what in report.timeline if "hangs up" in what)
        frames = report.sent.bytes / 160
        assert abs(frames - (end_ms - start_ms) / 20) <= 3
