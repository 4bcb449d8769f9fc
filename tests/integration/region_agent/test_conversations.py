"""Calls through a region agent, talking to the Realtime stand-in."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from backhaul.core.messages import CloseReason
from lab.realtime_faults import Fault
from lab.speech_files import load_line
from region_agent.metrics import AgentCollector
from tests.integration.region_agent.bench import (
    CONFIG,
    GREETING,
    PACED,
    Bench,
    StartBench,
    eventually,
)

QUESTION = load_line("caller-2").audio
SILENCE = b"\xff" * 8000


async def test_a_call_is_byte_exact_both_ways(bench: Bench) -> None:
    edge = await bench.connect()
    call = await edge.call("1")
    call.speak(QUESTION + SILENCE)
    record = bench.record(call)
    await eventually(lambda: [r.status for r in record.responses] == ["completed"])
    await eventually(lambda: len(call.audio) == record.said.byte_count)
    assert (
        record.heard.wire()["sha256"] == hashlib.sha256(QUESTION + SILENCE).hexdigest()
    )
    assert call.sha256 == record.said.wire()["sha256"]
    assert record.errors == []


async def test_a_call_is_written_down(start: StartBench) -> None:
    bench = await start(config=CONFIG + 'transcription_model = "gpt-transcribe"\n')
    edge = await bench.connect()
    call = await edge.call("1")
    call.speak(QUESTION + SILENCE)
    seen = bench.agent.listener.counters
    await eventually(lambda: seen.transcripts_caller == seen.transcripts_model == 1)
    registry = CollectorRegistry()
    agent = bench.agent
    registry.register(AgentCollector(agent.sessions, agent.listener, agent.services))
    metrics = generate_latest(registry).decode()
    assert 'transcript_items_total{speaker="caller"} 1.0' in metrics
    assert 'transcript_items_total{speaker="model"} 1.0' in metrics
    assert 'quic_handshakes_total{outcome="tokens_refused"} 0.0' in metrics


async def test_what_the_edge_plays_is_seeded_into_the_session(bench: Bench) -> None:
    edge = await bench.connect()
    call = await edge.call("1", "greeted", greeting_text=GREETING.text)
    record = bench.record(call)
    await eventually(lambda: len(record.conversation.items) == 1)
    (item,) = record.conversation.items
    assert item.wire["role"] == "assistant"
    assert item.wire["content"] == [{"type": "output_text", "text": GREETING.text}]
    assert record.responses == []


@pytest.mark.parametrize(
    ("profile", "given", "line"),
    [
        ("greeted", {"resumed": True}, "reply-1"),
        ("plain", {}, "reply-1"),
    ],
)
async def test_the_model_begins_when_the_edge_plays_nothing(
    bench: Bench, profile: str, given: dict[str, Any], line: str
) -> None:
    edge = await bench.connect()
    call = await edge.call("1", profile, **given)
    record = bench.record(call)
    await eventually(lambda: [r.status for r in record.responses] == ["completed"])
    assert record.responses[0].line == line
    assert record.errors == []


async def test_the_agent_greets_when_the_edge_does_not(bench: Bench) -> None:
    await bench.wait_warm()
    edge = await bench.connect()
    call = await edge.call("1", "greeted")
    await eventually(lambda: bytes(call.audio) == GREETING.audio)
    record = bench.record(call)
    await eventually(lambda: len(record.conversation.items) == 1)
    assert record.responses == []


async def test_the_caller_interrupts(start: StartBench) -> None:
    # In real time, so that the caller's question comes in the middle of the answer.
    bench = await start(replace(PACED, audio_speed=1.0))
    await bench.wait_warm()
    edge = await bench.connect()
    call = await edge.call("1", "plain")
    await eventually(lambda: len(call.audio) > 0)
    call.speak(QUESTION)
    record = bench.record(call)
    await eventually(lambda: record.responses[0].status == "cancelled")
    await eventually(lambda: bool(call.audio_at_clear))
    call.speak(SILENCE)
    await eventually(lambda: len(record.responses) > 1)
    await eventually(lambda: record.responses[1].first_audio_at is not None)
    first = record.responses[0].audio.byte_count
    second = record.responses[1]
    await eventually(lambda: second.status == "completed")
    await eventually(
        lambda: len(call.audio) == call.audio_at_clear[-1] + second.audio.byte_count
    )
    assert call.audio_at_clear[-1] <= first


async def test_a_lost_session_ends_only_its_own_call(bench: Bench) -> None:
    edge = await bench.connect()
    other = await edge.call("1")
    bench.model.faults.plan(Fault.CLOSE_1011, count=1, seconds=0)
    lost = await edge.call("2", "plain")
    await eventually(lambda: lost.closed is CloseReason.SESSION_LOST)
    other.speak(QUESTION + SILENCE)
    record = bench.record(other)
    await eventually(lambda: [r.status for r in record.responses] == ["completed"])
    await eventually(lambda: other.sha256 == record.said.wire()["sha256"])
    assert other.closed is None
    await bench.wait_warm()


async def test_failed_responses_are_asked_for_again(bench: Bench) -> None:
    edge = await bench.connect()
    bench.model.faults.plan(Fault.FAILED_RESPONSE, count=2, seconds=0)
    call = await edge.call("1", "plain")
    record = bench.record(call)
    await eventually(
        lambda: (
            [r.status for r in record.responses] == ["failed", "failed", "completed"]
        )
    )
    await eventually(lambda: call.sha256 == record.said.wire()["sha256"])
    counters = bench.agent.listener.counters
    assert (counters.responses_failed, counters.responses_retried) == (2, 2)
    assert call.closed is None


@pytest.mark.parametrize(
    ("fault", "counter"),
    [
        (Fault.UNKNOWN_EVENT, "events_unknown"),
        (Fault.MALFORMED, "events_malformed"),
    ],
)
async def test_odd_events_are_counted_and_the_turn_goes_on(
    bench: Bench, fault: Fault, counter: str
) -> None:
    edge = await bench.connect()
    await eventually(lambda: "greeted" in edge.greetings)
    bench.model.faults.plan(fault, count=1, seconds=0)
    call = await edge.call("1", "plain")
    record = bench.record(call)
    await eventually(lambda: [r.status for r in record.responses] == ["completed"])
    await eventually(lambda: call.sha256 == record.said.wire()["sha256"])
    assert getattr(bench.agent.sessions.counters, counter) > 0


async def test_audio_after_the_end_of_its_response_is_dropped(bench: Bench) -> None:
    edge = await bench.connect()
    await eventually(lambda: "greeted" in edge.greetings)
    bench.model.faults.plan(Fault.DELTA_AFTER_DONE, count=1, seconds=0)
    call = await edge.call("1", "plain")
    await eventually(lambda: bench.agent.listener.counters.stale_deltas > 0)
    said = bench.record(call).said
    await eventually(lambda: len(call.audio) >= said.byte_count)
    assert call.sha256 == said.wire()["sha256"]


async def test_a_hang_up_ends_the_session(bench: Bench) -> None:
    edge = await bench.connect()
    call = await edge.call("1")
    assert call.channel is not None
    call.channel.close(CloseReason.CALLER_HUNG_UP)
    record = bench.record(call)
    await eventually(lambda: record.state == "closed")
    assert record.close_code == 1000
    assert bench.agent.sessions.capacity.in_use == 0
    assert bench.agent.listener.calls_ended == {CloseReason.CALLER_HUNG_UP: 1}
