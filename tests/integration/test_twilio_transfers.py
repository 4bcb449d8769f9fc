"""Calls that are passed on, and what the carrier knows of the voice in them."""

import json
from socket import SO_SNDBUF, SOL_SOCKET

import pytest
from twilio.request_validator import RequestValidator
from websockets.asyncio.server import ServerConnection

from backhaul.clock import monotonic_s
from lab.twilio import CallReport, TwilioStandIn
from lab.twilio_plan import (
    DialOutcome,
    ExpectEnd,
    ExpectVerb,
    HangUp,
    QueueOutcome,
    ReadPause,
    ReferOutcome,
    Wait,
)
from tests.integration.edge_double import TOKEN, EdgeDouble, mark, media, plan

TONE = b"\x10\x90" * 80
NUMBER = "+14155550199"


async def hang_on(_: EdgeDouble, socket: ServerConnection, __: str) -> None:
    await socket.wait_closed()


async def close(_: EdgeDouble, socket: ServerConnection, __: str) -> None:
    await socket.close(1000)


def dial(target: str = "", *, attributes: str = "") -> str:
    inner = target or f"<Number url='/whisper'>{NUMBER}</Number>"
    return f"<Dial action='/dialled' {attributes}>{inner}</Dial>"


def form_of(edge: EdgeDouble, path: str) -> dict[str, str]:
    (form,) = [form for posted, form, _ in edge.posts if posted == path]
    return form


async def dialled(
    edge: EdgeDouble, stand_in: TwilioStandIn, twiml: str, **changes: object
) -> tuple[CallReport, dict[str, str]]:
    edge.twiml["/twilio/voice"] = [twiml]
    edge.twiml.setdefault("/whisper", ["<Say>A caller about a parcel.</Say>"])
    edge.twiml["/dialled"] = ["<Hangup/>"]
    report = await stand_in.place_call(plan(edge, **changes))
    return report, form_of(edge, "/dialled")


async def test_who_answers_is_told_something_before_they_are_connected(
    edge: EdgeDouble, stand_in: TwilioStandIn
) -> None:
    report, told = await dialled(edge, stand_in, dial())
    (transfer,) = report.transfers
    assert report.errors == ()
    assert (transfer.kind, transfer.target) == ("Number", NUMBER)
    assert transfer.status == told["DialCallStatus"] == "completed"
    assert transfer.whispers == ("A caller about a parcel.",)
    assert transfer.talked_s >= 0.5
    assert told["DialBridged"] == "true"
    assert told["DialCallDuration"].isdigit()
    assert (told["CallSid"], told["CallStatus"]) == (report.call_sid, "in-progress")
    assert edge.paths() == ["/twilio/voice", "/whisper", "/dialled"]
    whispered = form_of(edge, "/whisper")
    assert whispered["ParentCallSid"] == report.call_sid
    assert whispered["CallSid"] == told["DialCallSid"] == transfer.call_sid
    assert whispered["CallSid"] != report.call_sid
    assert (whispered["To"], whispered["From"]) == (NUMBER, "+493012345678")
    assert whispered["Direction"] == "outbound-dial"
    headers = edge.posts[1][2]
    signature = RequestValidator(TOKEN).compute_signature(
        f"{edge.base}/whisper", whispered
    )
    assert headers["X-Twilio-Signature"] == signature
    assert report.verbs == (f"Dial {NUMBER}", "Hangup")


@pytest.mark.parametrize("outcome", ["busy", "no-answer", "failed"])
async def test_nobody_answers(
    edge: EdgeDouble, stand_in: TwilioStandIn, outcome: str
) -> None:
    planned = DialOutcome(outcome=outcome)  # type: ignore[arg-type]
    report, told = await dialled(edge, stand_in, dial(), dial=planned)
    assert told["DialCallStatus"] == report.transfers[0].status == outcome
    assert told["DialBridged"] == "false"
    assert "DialCallDuration" not in told
    assert "/whisper" not in edge.paths()
    assert report.errors == ()


@pytest.mark.parametrize(
    ("twiml", "code"),
    [
        (dial("0123"), 13224),
        (dial(attributes="callerId='Ada'"), 13214),
    ],
)
async def test_a_number_that_cannot_be_rung_fails(
    edge: EdgeDouble, stand_in: TwilioStandIn, twiml: str, code: int
) -> None:
    report, told = await dialled(edge, stand_in, twiml)
    assert told["DialCallStatus"] == "failed"
    assert [error.code for error in report.errors] == [code]


async def test_only_words_may_be_whispered(
    edge: EdgeDouble, stand_in: TwilioStandIn
) -> None:
    edge.twiml["/whisper"] = [f"<Dial>{NUMBER}</Dial>"]
    report, told = await dialled(edge, stand_in, dial())
    assert told["DialCallStatus"] == "failed"
    assert [error.code for error in report.errors] == [12200]
    assert report.transfers[0].talked_s == 0


async def test_a_sip_address_is_rung_and_its_progress_told(
    edge: EdgeDouble, stand_in: TwilioStandIn
) -> None:
    events = "statusCallbackEvent='initiated ringing answered completed'"
    sip = f"<Sip statusCallback='/progress' {events}>sip:ada@pbx.example.com</Sip>"
    edge.twiml["/progress"] = [""] * 4
    report, told = await dialled(edge, stand_in, dial(sip), over_sip=True)
    assert report.errors == ()
    assert told["SipDomain"]
    progress = [form for path, form, _ in edge.posts if path == "/progress"]
    progress.sort(key=lambda form: form["SequenceNumber"])
    assert [form["CallStatus"] for form in progress] == [
        "initiated",
        "ringing",
        "in-progress",
        "completed",
    ]
    assert {form["CallSid"] for form in progress} == {told["DialCallSid"]}


async def test_a_caller_who_hangs_up_ends_what_rings(
    edge: EdgeDouble, stand_in: TwilioStandIn
) -> None:
    edge.talk = close
    twiml = edge.connect() + dial()
    report, told = await dialled(
        edge,
        stand_in,
        twiml,
        steps=(ExpectVerb("Dial"), Wait(0.2), HangUp()),
        dial=DialOutcome(after_s=30),
    )
    assert all(step.ok for step in report.steps)
    assert report.ended_by == "caller"
    assert report.transfers[0].status == told["DialCallStatus"] == "canceled"
    assert told["CallStatus"] == "completed"


async def test_a_queue_is_waited_in(edge: EdgeDouble, stand_in: TwilioStandIn) -> None:
    edge.twiml["/twilio/voice"] = ["<Enqueue action='/left'>support</Enqueue>"] * 2
    edge.twiml["/left"] = ["<Hangup/>"] * 2
    report = await stand_in.place_call(plan(edge))
    left = form_of(edge, "/left")
    assert left["QueueResult"] == report.transfers[0].status == "bridged"
    assert left["QueueSid"].startswith("QU")
    assert left["QueueTime"] == "0"
    assert report.transfers[0].target == "support"
    edge.posts.clear()
    full = QueueOutcome(result="queue-full")
    report = await stand_in.place_call(plan(edge, queue=full))
    left = form_of(edge, "/left")
    assert left["QueueResult"] == "queue-full"
    assert "QueueSid" not in left


REFER = "<Refer action='/referred'><Sip>sip:ada@pbx.example.com</Sip></Refer>"


@pytest.mark.parametrize(
    ("status", "refer_code", "notified"),
    [("completed", "202", "200"), ("busy", "202", "486"), ("failed", "603", None)],
)
async def test_a_call_over_sip_is_referred(
    edge: EdgeDouble,
    stand_in: TwilioStandIn,
    status: str,
    refer_code: str,
    notified: str | None,
) -> None:
    edge.twiml["/twilio/voice"] = [REFER]
    edge.twiml["/referred"] = ["<Hangup/>"]
    planned = ReferOutcome(status=status)  # type: ignore[arg-type]
    report = await stand_in.place_call(plan(edge, over_sip=True, refer=planned))
    told = form_of(edge, "/referred")
    assert told["ReferCallStatus"] == report.transfers[0].status == status
    assert told["ReferSipResponseCode"] == refer_code
    assert told.get("NotifySipResponseCode") == notified
    assert report.errors == ()


async def test_no_other_call_can_be_referred(
    edge: EdgeDouble, stand_in: TwilioStandIn
) -> None:
    edge.twiml["/twilio/voice"] = [REFER]
    report = await stand_in.place_call(plan(edge))
    assert report.ended_by == "error"
    assert [error.code for error in report.errors] == [12200]


async def test_touch_tones_are_played_and_the_voice_comes_back(
    edge: EdgeDouble, stand_in: TwilioStandIn
) -> None:
    async def talk(edge: EdgeDouble, socket: ServerConnection, stream_sid: str) -> None:
        if len(edge.handshakes) > 1:
            await socket.close(1000)
            return
        await socket.send(media(stream_sid, TONE * 10))
        await socket.send(mark(stream_sid, "1:1600"))
        while not edge.names("mark"):
            edge.messages.append(json.loads(await socket.recv()))
        await socket.close(1000)

    edge.talk = talk
    again = f"<Play digits='1w2'/>{edge.connect()}"
    edge.twiml["/twilio/voice"] = [edge.connect(attributes="action='/on'")]
    edge.twiml["/on"] = [again]
    report = await stand_in.place_call(
        plan(edge, steps=(ExpectVerb("Play digits 1w2"), ExpectEnd("twiml")))
    )
    assert all(step.ok for step in report.steps), report.steps
    assert report.digits_played == ("1w2",)
    assert len(report.stream_sids) == 2
    assert report.unplayed_bytes_at_end == 0
    (echoed,) = report.mark_facts
    assert (echoed.name, echoed.received_bytes, echoed.cleared) == (
        "1:1600",
        1600,
        False,
    )
    assert echoed.echoed_at_ms is not None
    assert report.voice == TONE * 10


async def test_a_voice_that_is_cut_by_the_close_is_noticed(
    edge: EdgeDouble, stand_in: TwilioStandIn
) -> None:
    async def talk(_: EdgeDouble, socket: ServerConnection, stream_sid: str) -> None:
        await socket.send(media(stream_sid, TONE * 500))
        await socket.close(1000)

    edge.talk = talk
    edge.twiml["/twilio/voice"] = [edge.connect()]
    report = await stand_in.place_call(plan(edge))
    assert report.unplayed_bytes_at_end > 0
    assert report.closed_after_voice_ms is not None
    assert report.closed_after_voice_ms < 0


async def test_every_clear_says_what_was_heard(
    edge: EdgeDouble, stand_in: TwilioStandIn
) -> None:
    async def talk(edge: EdgeDouble, socket: ServerConnection, stream_sid: str) -> None:
        await socket.send(media(stream_sid, TONE * 10))
        await socket.send(mark(stream_sid, "1:1600"))
        while not edge.names("mark"):
            edge.messages.append(json.loads(await socket.recv()))
        await socket.send(media(stream_sid, TONE * 500))
        await socket.send(mark(stream_sid, "1:81600"))
        await socket.send(json.dumps({"event": "clear", "streamSid": stream_sid}))
        while len(edge.names("mark")) < 2:
            edge.messages.append(json.loads(await socket.recv()))
        await socket.close(1000)

    edge.talk = talk
    edge.twiml["/twilio/voice"] = [edge.connect()]
    report = await stand_in.place_call(plan(edge))
    (cleared,) = report.cleared
    assert report.clears == 1
    assert cleared.received_bytes == len(TONE) * 510
    assert len(TONE) * 10 <= cleared.played_bytes < cleared.received_bytes
    assert [fact.cleared for fact in report.mark_facts] == [False, True]
    assert report.unplayed_bytes_at_end == 0
    assert report.voice == (TONE * 510)[: cleared.played_bytes]


async def test_a_carrier_that_does_not_read_holds_the_edge_up(
    edge: EdgeDouble, stand_in: TwilioStandIn
) -> None:
    held_up_s: list[float] = []

    async def talk(_: EdgeDouble, socket: ServerConnection, stream_sid: str) -> None:
        own = socket.transport.get_extra_info("socket")
        own.setsockopt(SOL_SOCKET, SO_SNDBUF, 32 * 1024)
        for _attempt in range(1000):
            began = monotonic_s()
            await socket.send(media(stream_sid, TONE * 20))
            held_up_s.append(monotonic_s() - began)
            if held_up_s[-1] > 0.5:
                break

    edge.talk = talk
    edge.twiml["/twilio/voice"] = [edge.connect()]
    pause = ReadPause(from_s=0.0, for_s=2.0)
    report = await stand_in.place_call(
        plan(edge, read_pause=pause, steps=(Wait(2.5), HangUp()))
    )
    assert report.errors == ()
    assert max(held_up_s) > 0.5
    assert report.received.bytes == len(TONE) * 20 * len(held_up_s)
