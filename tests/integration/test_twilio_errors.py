"""What the Twilio stand-in does when a webhook or a stream fails."""

import pytest
from websockets.asyncio.server import ServerConnection

from lab.twilio import Turn, TwilioStandIn
from tests.integration.edge_double import SPEECH, EdgeDouble, plan


async def test_a_refused_handshake_is_31920_and_goes_to_the_action(
    edge: EdgeDouble, stand_in: TwilioStandIn
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
    edge: EdgeDouble, stand_in: TwilioStandIn, message: str | bytes, code: int
) -> None:
    async def talk(
        _edge: EdgeDouble, socket: ServerConnection, stream_sid: str
    ) -> None:
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


@pytest.mark.parametrize(
    ("after_lost_stream", "asked", "ended_by"),
    [
        ("go on", ["/twilio/voice", "/after"], "twiml"),
        ("end", ["/twilio/voice"], "error"),
    ],
)
async def test_nobody_knows_whether_a_call_outlives_its_stream(
    edge: EdgeDouble,
    stand_in: TwilioStandIn,
    after_lost_stream: str,
    asked: list[str],
    ended_by: str,
) -> None:
    async def talk(
        _edge: EdgeDouble, socket: ServerConnection, _stream_sid: str
    ) -> None:
        socket.transport.abort()

    edge.talk = talk
    edge.twiml["/twilio/voice"] = [edge.connect(attributes="action='/after'")]
    edge.twiml["/after"] = ["<Hangup/>"]
    report = await stand_in.place_call(plan(edge, after_lost_stream=after_lost_stream))
    assert [error.code for error in report.errors] == [31921]
    assert (edge.paths(), report.ended_by) == (asked, ended_by)


async def test_a_dead_edge_is_a_close_error(
    edge: EdgeDouble, stand_in: TwilioStandIn
) -> None:
    async def talk(
        _edge: EdgeDouble, socket: ServerConnection, _stream_sid: str
    ) -> None:
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
    edge: EdgeDouble, stand_in: TwilioStandIn, twiml: list[str], code: int
) -> None:
    edge.twiml["/twilio/voice"] = twiml
    report = await stand_in.place_call(plan(edge))
    assert [error.code for error in report.errors] == [code]
    assert (report.answered, report.ended_by) == (False, "error")


async def test_the_fallback_url_is_asked_once(
    edge: EdgeDouble, stand_in: TwilioStandIn
) -> None:
    edge.twiml["/fallback"] = ["<Reject reason='busy'/>"]
    report = await stand_in.place_call(plan(edge, fallback_url=f"{edge.base}/fallback"))
    assert report.ended_by == "rejected"
    assert edge.posts[1][1]["ErrorCode"] == "11200"
    assert edge.posts[1][1]["ErrorUrl"] == f"{edge.base}/twilio/voice"


async def test_a_webhook_nobody_listens_for_is_11205(
    stand_in: TwilioStandIn, unused_tcp_port: int
) -> None:
    nowhere = EdgeDouble(base=f"http://127.0.0.1:{unused_tcp_port}")
    report = await stand_in.place_call(plan(nowhere))
    assert [error.code for error in report.errors] == [11205]


async def test_a_redirect_loop_ends(edge: EdgeDouble, stand_in: TwilioStandIn) -> None:
    edge.twiml["/twilio/voice"] = ["<Redirect>/twilio/voice</Redirect>"] * 100
    report = await stand_in.place_call(plan(edge))
    assert report.ended_by == "error"
    assert len(edge.posts) == 51


async def test_a_caller_who_hears_nothing_gives_up(
    edge: EdgeDouble, stand_in: TwilioStandIn
) -> None:
    edge.twiml["/twilio/voice"] = [edge.connect()]
    report = await stand_in.place_call(
        plan(edge, steps=(Turn(SPEECH),), reply_timeout_s=0.3)
    )
    assert report.first_audio_ms is None
    assert [turn.reply_first_audio_ms for turn in report.turns] == [None]
    assert SPEECH in edge.heard()


async def test_a_host_with_two_addresses_is_reached_at_the_one_that_answers(
    edge: EdgeDouble, stand_in: TwilioStandIn
) -> None:
    edge.stream_url = edge.stream_url.replace("127.0.0.1", "localhost")
    edge.twiml["/twilio/voice"] = [edge.connect()]
    report = await stand_in.place_call(plan(edge, max_duration_s=0.5))
    assert report.answered
    assert report.errors == ()
