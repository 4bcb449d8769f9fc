"""Calls of the Twilio stand-in to a webhook and a stream of the tests' own."""

import asyncio
import base64
import hashlib
import json

from twilio.request_validator import RequestValidator
from websockets.asyncio.server import ServerConnection

from lab.twilio import CallReport, Turn, TwilioStandIn
from lab.twilio_plan import Press
from tests.integration.edge_double import (
    ACCOUNT,
    SPEECH,
    TOKEN,
    EdgeDouble,
    mark,
    media,
    plan,
)

TONE = b"\x10\x90" * 80


async def greet(edge: EdgeDouble, socket: ServerConnection, stream_sid: str) -> None:
    del edge
    await socket.send(media(stream_sid, TONE * 10))
    await socket.send(mark(stream_sid, "greeting"))


def assert_exact(report: CallReport, edge: EdgeDouble) -> None:
    assert report.sent.bytes == len(edge.heard())
    assert report.sent.sha256 == hashlib.sha256(edge.heard()).hexdigest()
    assert report.received_audio == TONE * 20
    assert report.received.sha256 == hashlib.sha256(TONE * 20).hexdigest()
    assert report.heard.count(TONE * 10) == 2
    assert json.loads(report.to_json())["received"]["bytes"] == len(TONE) * 20


async def test_a_spoken_call_from_ring_to_hang_up(
    edge: EdgeDouble, stand_in: TwilioStandIn
) -> None:
    async def talk(edge: EdgeDouble, socket: ServerConnection, stream_sid: str) -> None:
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
            steps=(Press("5"), Turn(SPEECH)),
            status_callback=f"{edge.base}/twilio/status",
        )
    )

    assert report.errors == ()
    assert report.answered
    assert report.ended_by == "caller"
    assert report.first_audio_ms is not None
    assert 0 <= report.first_audio_ms < 20_000
    (turn,) = report.turns
    assert turn.reply_first_audio_ms is not None
    assert 0 <= turn.reply_first_audio_ms < 20_000
    assert turn.interrupted_stop_ms is None
    assert_exact(report, edge)
    assert (report.marks, report.marks_echoed, report.clears) == (1, 1, 0)
    assert report.custom_parameters == {"traceparent": "00-1"}
    assert edge.paths() == ["/twilio/voice", "/after", "/twilio/status"]
    statuses = [form["CallStatus"] for _, form, _ in edge.posts]
    assert statuses == ["ringing", "completed", "completed"]
    assert edge.posts[2][1]["CallDuration"].isdigit()


async def test_messages_are_exactly_as_documented(
    edge: EdgeDouble, stand_in: TwilioStandIn
) -> None:
    edge.talk = greet
    edge.twiml["/twilio/voice"] = [edge.connect()]
    report = await stand_in.place_call(plan(edge, steps=(Press("#"),)))

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
    edge: EdgeDouble, stand_in: TwilioStandIn
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
    edge: EdgeDouble, stand_in: TwilioStandIn
) -> None:
    async def talk(edge: EdgeDouble, socket: ServerConnection, stream_sid: str) -> None:
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
        plan(edge, steps=(Turn(SPEECH, interrupt_after_s=0.3),))
    )
    assert report.errors == ()
    assert (report.clears, report.marks_echoed) == (1, 1)
    assert edge.names("mark") == ["e1"]
    (turn,) = report.turns
    assert turn.interrupted_stop_ms is not None
    assert 0 < turn.interrupted_stop_ms < 9000
    assert turn.reply_first_audio_ms is not None
    assert len(report.heard.strip(b"\xff")) < 500 * len(TONE)


async def test_when_the_edge_closes_the_action_decides_what_follows(
    edge: EdgeDouble, stand_in: TwilioStandIn
) -> None:
    async def talk(edge: EdgeDouble, socket: ServerConnection, stream_sid: str) -> None:
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
    edge: EdgeDouble, stand_in: TwilioStandIn
) -> None:
    async def talk(
        _edge: EdgeDouble, socket: ServerConnection, _stream_sid: str
    ) -> None:
        await socket.close(1011)

    edge.talk = talk
    edge.twiml["/twilio/voice"] = [
        edge.connect() + "<Say>Sorry</Say><Dial>+14155550199</Dial>"
    ]
    report = await stand_in.place_call(plan(edge))
    assert report.verbs[1:] == ("Say Sorry", "Dial +14155550199", "Hangup")
    assert report.ended_by == "twiml"
    assert report.close_codes == (1011,)


async def test_stream_status_callbacks_tell_start_and_stop(
    edge: EdgeDouble, stand_in: TwilioStandIn
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


async def test_the_call_ends_after_its_longest_duration(
    edge: EdgeDouble, stand_in: TwilioStandIn
) -> None:
    edge.twiml["/twilio/voice"] = [edge.connect()]
    report = await stand_in.place_call(plan(edge, max_duration_s=0.5))
    assert report.ended_by == "caller"
    assert 0.5 <= report.duration_s < 30


async def test_many_calls_keep_the_clock_together(
    edge: EdgeDouble, stand_in: TwilioStandIn
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
        # The clock keeps up with the wall; a second is what a busy machine may stall.
        assert abs(frames - (end_ms - start_ms) / 20) <= 50
