"""A call that one edge answers and another one takes, over real sockets."""

import asyncio
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus

from backhaul.core.messages import CloseReason
from backhaul.settings import Secret
from edge.site import EdgeSite
from tests.integration.edge.pair import ASHBURN, Answer, Pair, make_pair
from tests.integration.edge.streams import (
    AUDIO,
    AUTH_TOKEN,
    GREETING_AUDIO,
    close_code,
    heard,
    media,
    start,
)
from tests.integration.otlp_receiver import OtlpReceiver

if TYPE_CHECKING:
    from tests.integration.conftest import MakeBench

NEW_TOKEN = "abcdefabcdefabcdefabcdefabcdefab"


@pytest.fixture
async def pair(make_bench: "MakeBench", wait: Any) -> Pair:
    return await make_pair(make_bench, wait)


async def test_the_edge_at_twilios_region_makes_the_call_from_the_ticket(
    pair: Pair, wait: Any
) -> None:
    answer = await pair.ring()
    assert answer.stream_url.startswith(f"{pair.near_url}/twilio/media/")
    assert answer.action_url == f"{pair.near.settings.public_url}/twilio/resume/1"
    assert "4155550123" not in answer.stream_url
    async with answer.connect() as twilio:
        await twilio.send(start())
        assert await heard(twilio, at_least=len(GREETING_AUDIO)) == GREETING_AUDIO
        await wait(lambda: bool(pair.far.agent.calls))
        (call,) = pair.far.agent.calls
        assert call.message.lease_id == pair.far.agent.requests[0].lease_id
        assert call.message.caller == "+14155550123"
        assert call.channel.peer.name == "near"
        await twilio.send(media())
        await wait(lambda: bytes(call.audio) == AUDIO)
        call.channel.send_audio(AUDIO * 10)
        assert await heard(twilio, at_least=1600) == AUDIO * 10
        call.channel.close(CloseReason.MODEL_HUNG_UP)
        assert await close_code(twilio) == 1000
    await wait(lambda: not len(pair.near.edge.calls))
    assert len(pair.far.edge.calls) == 0
    assert pair.far.metric("edge_handovers_total", outcome="given") == 1
    assert pair.near.metric("edge_handovers_total", outcome="arrived") == 1
    (summary,) = pair.near.edge.calls.recent()
    assert summary["caller_state"] == "US-CA"
    assert summary["caller_place_source"] == "number"
    assert summary["warm"] is True


async def test_both_edges_tell_their_part_of_one_trace(
    make_bench: "MakeBench", wait: Any
) -> None:
    async with OtlpReceiver() as receiver:
        told = {"otlp_endpoint": receiver.endpoint}
        pair = await make_pair(make_bench, wait, far=told, near=told)
        answer = await pair.ring()
        async with answer.connect() as twilio:
            await twilio.send(start())
            await wait(lambda: bool(pair.far.agent.calls))
            (call,) = pair.far.agent.calls
            call.channel.close(CloseReason.MODEL_HUNG_UP)
            await close_code(twilio)
        # Each edge sends its spans when it is ready to.
        await wait(lambda: len(receiver.spans) == 8)
        taken, given = sorted(
            receiver.named("call"),
            key=lambda span: "warmline.given_to" in span.attributes,
        )
        assert given.attributes["warmline.given_to"] == "near"
        assert given.attributes["warmline.end_reason"] == "given"
        assert taken.attributes["warmline.caller.state"] == "US-CA"
        assert (taken.trace_id, taken.parent_id) == (given.trace_id, given.span_id)
        assert call.message.traceparent[3:35] == given.trace_id
        assert call.message.traceparent[36:52] == taken.span_id
        names = {given.span_id: set[str](), taken.span_id: set[str]()}
        for span in receiver.spans:
            if span.parent_id in names:
                names[span.parent_id].add(span.name)
        assert names[given.span_id] == {"webhook", "call"}
        assert names[taken.span_id] == {"stream start", "attach", "first audio"}
    # Only the edge that had the call counts how long it was.
    counted = [
        bench.metric("edge_call_duration_seconds_count")
        for bench in (pair.far, pair.near)
    ]
    assert counted == [0, 1]


async def test_the_same_webhook_again_gets_the_same_answer_and_no_second_lease(
    pair: Pair,
) -> None:
    first = await pair.ring()
    again = await pair.ring()
    assert again == first
    assert len(pair.far.agent.requests) == 1


async def test_when_twilio_says_that_it_failed_the_call_is_answered_here(
    pair: Pair, wait: Any
) -> None:
    await pair.ring()
    again = await pair.ring(ErrorCode="11200", ErrorUrl="http://127.0.0.1/")
    (given, _) = pair.far.agent.requests
    await wait(lambda: pair.far.agent.released == [given.lease_id])
    assert again.stream_url.startswith(pair.far.settings.media_url)
    assert [request.epoch for request in pair.far.agent.requests] == [1, 2]
    async with again.connect() as twilio:
        await twilio.send(start())
        await wait(lambda: bool(pair.far.agent.calls))
    assert pair.far.agent.calls[0].message.epoch == 2


async def refused(answer: Answer, **how: Any) -> int:
    with pytest.raises(InvalidStatus) as failed:
        async with answer.connect(**how):
            pass
    return failed.value.response.status_code


async def test_a_ticket_admits_one_stream(pair: Pair) -> None:
    answer = await pair.ring()
    async with answer.connect():
        assert await refused(answer) == 403
    outcome = pair.near.metric("edge_media_streams_total", outcome="ticket_used")
    assert outcome == 1


async def test_a_ticket_is_for_its_call(pair: Pair) -> None:
    answer = await pair.ring()
    async with answer.connect() as twilio:
        await twilio.send(start(2))
        assert await close_code(twilio) == 1008
    assert not pair.far.agent.calls


async def test_a_ticket_alone_is_not_enough(pair: Pair) -> None:
    answer = await pair.ring()
    assert await refused(answer, key="another key") == 403
    outcome = "signature_invalid"
    assert pair.near.metric("edge_media_streams_total", outcome=outcome) == 1


async def test_a_ticket_that_was_changed_or_made_for_another_edge_is_refused(
    pair: Pair,
) -> None:
    answer = await pair.ring()
    forged = Answer(answer.stream_url[:-6] + "AAAAAA", "")
    assert await refused(forged) == 403
    elsewhere = Answer(
        answer.stream_url.replace(pair.near_url, pair.far.settings.media_url), ""
    )
    assert await refused(elsewhere) == 403
    for bench in (pair.near, pair.far):
        outcome = bench.metric("edge_media_streams_total", outcome="ticket_forged")
        assert outcome == 1


async def test_an_old_token_of_this_edge_is_not_called_a_ticket(pair: Pair) -> None:
    known = Answer(f"{pair.near_url}/twilio/media/{'A' * 32}", "")
    assert await refused(known) == 403
    outcome = pair.near.metric("edge_media_streams_total", outcome="token_invalid")
    assert outcome == 1


async def test_while_the_auth_token_is_rotated_calls_are_handed_over(
    make_bench: "MakeBench", wait: Any
) -> None:
    newer = {"twilio_auth_tokens": (Secret(NEW_TOKEN), Secret(AUTH_TOKEN))}
    pair = await make_pair(make_bench, wait, near=newer)
    answer = await pair.ring()
    async with answer.connect() as twilio:
        await twilio.send(start())
        assert await heard(twilio, at_least=len(GREETING_AUDIO)) == GREETING_AUDIO


async def test_a_call_stays_when_the_other_edge_falls_silent(
    pair: Pair, wait: Any
) -> None:
    pair.far.agent.deaf_to.add("near")
    (agent,) = pair.far.edge.links.agents.values()
    await wait(lambda: "near" not in agent.edges)
    answer = await pair.ring()
    assert answer.stream_url.startswith(pair.far.settings.media_url)


async def test_a_call_stays_when_the_other_edge_is_gone(pair: Pair, wait: Any) -> None:
    await pair.near.edge.stop()
    (agent,) = pair.far.edge.links.agents.values()
    await wait(lambda: "near" not in agent.edges)
    answer = await pair.ring()
    assert answer.stream_url.startswith(pair.far.settings.media_url)


async def test_an_edge_that_drains_gets_no_more_calls_and_takes_those_on_their_way(
    make_bench: "MakeBench", wait: Any
) -> None:
    pair = await make_pair(make_bench, wait, near={"drain_timeout_s": 20.0})
    answer = await pair.ring()
    async with asyncio.TaskGroup() as tasks:
        draining = tasks.create_task(pair.near.edge.drain())
        (agent,) = pair.far.edge.links.agents.values()
        await wait(lambda: "near" not in agent.edges)
        later = await pair.ring(2)
        assert later.stream_url.startswith(pair.far.settings.media_url)
        async with answer.connect() as twilio:
            await twilio.send(start())
            assert await heard(twilio, at_least=len(GREETING_AUDIO)) == GREETING_AUDIO
            assert not draining.done()
        for call in pair.far.agent.calls:
            call.channel.close(CloseReason.MODEL_HUNG_UP)


async def test_a_call_stays_when_its_ticket_would_be_too_long(pair: Pair) -> None:
    sip = "sip:" + "a" * 250 + "@example.com"
    answer = await pair.ring(From=sip, SipCallId="1")
    assert answer.stream_url.startswith(pair.far.settings.media_url)
    assert pair.far.metric("edge_handovers_total", outcome="too_long") == 1
    assert len(pair.far.edge.calls) == 1


async def test_a_call_for_which_nobody_has_a_session_stays(pair: Pair) -> None:
    pair.far.agent.refuse_with = CloseReason.NO_STOCK
    answer = await pair.ring()
    assert not answer.stream_url.startswith(pair.near_url)


async def test_an_edge_without_a_place_keeps_its_calls(
    make_bench: "MakeBench",
) -> None:
    bench = await make_bench(edges={"near": EdgeSite("https://a", "", *ASHBURN)})
    assert not bench.edge._desk.neighbours.sites
    _, text = await bench.post()
    assert Answer.of(text).stream_url.startswith("wss://voice.example.com")


async def test_a_caller_who_hangs_up_before_the_stream_gives_the_session_back(
    pair: Pair, wait: Any
) -> None:
    await pair.ring()
    over = pair.far.sids() | {"CallStatus": "completed"}
    status, _ = await pair.far.post("/twilio/status", over)
    assert status == 204
    (asked,) = pair.far.agent.requests
    await wait(lambda: pair.far.agent.released == [asked.lease_id])


async def play(answer: Answer, wait: Any, pair: Pair) -> ClientConnection:
    twilio = await answer.connect()
    await twilio.send(start())
    await wait(lambda: bool(pair.far.agent.calls))
    return twilio


async def test_an_action_at_the_edge_that_has_the_call_is_answered_there(
    pair: Pair, wait: Any
) -> None:
    twilio = await play(await pair.ring(), wait, pair)
    await twilio.close()
    form = pair.near.sids() | {"CallStatus": "in-progress"}
    _, text = await pair.near.post("/twilio/resume/1", form)
    answer = Answer.of(text)
    assert answer.stream_url.startswith(f"{pair.near_url}/twilio/media/")
    assert answer.action_url.endswith("/twilio/resume/2")


async def test_an_action_at_the_edge_that_gave_the_call_away_is_led_there(
    pair: Pair, wait: Any
) -> None:
    twilio = await play(await pair.ring(), wait, pair)
    form = pair.far.sids() | {"CallStatus": "in-progress"}
    _, text = await pair.far.post("/twilio/resume/1", form)
    redirect = ET.fromstring(text)[0]  # noqa: S314 - our own
    assert redirect.tag == "Redirect"
    assert redirect.text == f"{pair.near.settings.public_url}/twilio/resume/1"
    await twilio.close()


async def test_an_action_for_a_call_nobody_knows_gets_an_apology(pair: Pair) -> None:
    for bench in (pair.far, pair.near):
        form = bench.sids(9) | {"CallStatus": "in-progress"}
        status, text = await bench.post("/twilio/resume/1", form)
        assert (status, "<Say>" in text, "<Hangup" in text) == (200, True, True)


async def test_a_status_callback_for_a_call_that_is_elsewhere_is_taken(
    pair: Pair, wait: Any
) -> None:
    twilio = await play(await pair.ring(), wait, pair)
    over = pair.far.sids() | {"CallStatus": "completed"}
    status, _ = await pair.far.post("/twilio/status", over)
    assert status == 204
    assert len(pair.near.edge.calls) == 1  # its own stream tells it of the end
    await twilio.close()


async def test_without_a_link_to_the_agent_the_call_is_given_another_session(
    make_bench: "MakeBench", wait: Any
) -> None:
    pair = await make_pair(make_bench, wait, agent_of_near="its successor")
    answer = await pair.ring()
    async with answer.connect() as twilio:
        await twilio.send(start())
        await wait(lambda: bool(pair.far.agent.calls))
        given, own = pair.far.agent.requests
        (call,) = pair.far.agent.calls
        assert call.message.lease_id == own.lease_id
        assert (given.epoch, own.epoch) == (1, 2)
