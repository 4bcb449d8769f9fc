"""What an agent tells of a call: its turns, its tools, and nothing personal."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from backhaul.core.messages import CloseReason
from lab.model_script import ModelCall, ModelScript, ModelTurn
from lab.speech_files import load_line
from tests.integration.otlp_receiver import OtlpReceiver, ReceivedSpan
from tests.integration.region_agent.bench import (
    Bench,
    Call,
    StartBench,
    eventually,
)

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = PARENT[:-1] + "0"
CALLER = "+14155550123"


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[OtlpReceiver]:
    async with OtlpReceiver() as one:
        yield one


async def traced(start: StartBench, receiver: OtlpReceiver) -> Bench:
    bench = await start(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint)
    await bench.wait_warm()
    return bench


async def talk(bench: Bench, call: Call, line: str) -> None:
    """Say *line* and wait until its answer is complete."""
    record = bench.record(call)
    answered = len(record.usage)
    call.speak(load_line(line).audio)
    call.speak(b"\xff" * 8000)
    await eventually(lambda: len(record.usage) > answered)
    await eventually(lambda: len(call.audio) == record.said.byte_count)


async def hang_up(call: Call) -> None:
    assert call.channel is not None
    call.channel.close(CloseReason.CALLER_HUNG_UP)


def metric(bench: Bench, name: str, **labels: str) -> float:
    return bench.agent.registry.get_sample_value(name, labels) or 0.0


async def test_a_call_is_a_span_with_one_for_each_turn(
    start: StartBench, receiver: OtlpReceiver
) -> None:
    bench = await traced(start, receiver)
    edge = await bench.connect()
    call = await edge.call("1", traceparent=PARENT, caller=CALLER)
    await talk(bench, call, "caller-2")
    await talk(bench, call, "caller-3")
    await hang_up(call)
    await eventually(lambda: bool(receiver.named("conversation")))
    (whole,) = receiver.named("conversation")
    assert whole.trace_id == PARENT.split("-")[1]
    assert whole.parent_id == PARENT.split("-")[2]
    assert whole.flags == 0x300
    assert whole.service == "warmline-agent"
    assert whole.resource["cloud.region"] == "home"
    assert whole.attributes["warmline.call_sid"] == "CA1"
    assert whole.attributes["warmline.profile"] == "patient"
    assert whole.attributes["warmline.end_reason"] == "caller_hung_up"
    assert whole.attributes["warmline.turns"] == 2
    assert whole.attributes["warmline.session.age_s"] > 0
    assert 0 <= whole.attributes["warmline.session.proof_age_s"] < 60
    assert whole.attributes["gen_ai.conversation.id"] == call.session_id
    assert whole.attributes["gen_ai.usage.output_tokens"] > 0
    turns = receiver.named("turn")
    assert [turn.attributes["warmline.turn.number"] for turn in turns] == [1, 2]
    for turn in turns:
        assert_answered(turn, receiver)
        assert turn.parent_id == whole.span_id
    latencies = metric(
        bench, "turn_latency_seconds_count", profile="patient", kind="reply"
    )
    assert latencies == 2
    assert metric(bench, "call_duration_seconds_count", profile="patient") == 1
    assert CALLER not in str(receiver.spans)


def assert_answered(turn: ReceivedSpan, receiver: OtlpReceiver) -> None:
    assert turn.attributes["warmline.turn.outcome"] == "answered"
    assert turn.attributes["warmline.turn.responses"] == 1
    (first,) = [
        span
        for span in receiver.named("turn first audio")
        if span.parent_id == turn.span_id
    ]
    assert first.start_ns == turn.start_ns
    latency_ms = turn.attributes["warmline.turn.first_audio_ms"]
    assert abs(first.duration_ms - latency_ms) < 0.01
    assert 10 < latency_ms <= turn.duration_ms


async def test_a_tool_is_part_of_its_turn(
    start: StartBench, receiver: OtlpReceiver
) -> None:
    bench = await traced(start, receiver)
    calls_nothing = ModelTurn(calls=(ModelCall("no_such_tool"),), unknown_ok=True)
    bench.model.scripts.add(ModelScript((calls_nothing, ModelTurn(speak="reply-1"))))
    edge = await bench.connect()
    call = await edge.call("1", traceparent=PARENT)
    await talk(bench, call, "caller-2")
    await eventually(lambda: len(call.audio) > 0)
    await hang_up(call)
    await eventually(lambda: bool(receiver.named("conversation")))
    (turn,) = receiver.named("turn")
    (tool,) = receiver.named("tool")
    assert tool.parent_id == turn.span_id
    assert tool.attributes == {
        "warmline.tool.name": "",
        "warmline.tool.outcome": "unknown_tool",
        "warmline.tool.attempts": 0,
    }
    assert tool.error == "unknown_tool"
    assert turn.attributes["warmline.turn.tools"] == 1


async def test_the_model_that_opens(start: StartBench, receiver: OtlpReceiver) -> None:
    bench = await traced(start, receiver)
    edge = await bench.connect()
    call = await edge.call("1", "plain", traceparent=PARENT)
    await eventually(lambda: len(call.audio) > 0)
    await hang_up(call)
    await eventually(lambda: bool(receiver.named("conversation")))
    (opening,) = receiver.named("turn")
    assert opening.attributes["warmline.turn.kind"] == "opening"
    labels = {"profile": "plain", "kind": "opening"}
    assert metric(bench, "turn_latency_seconds_count", **labels) == 1


async def test_a_call_that_is_not_sampled(
    start: StartBench, receiver: OtlpReceiver
) -> None:
    bench = await traced(start, receiver)
    edge = await bench.connect()
    unwanted = await edge.call("1", traceparent=UNSAMPLED)
    wanted = await edge.call("2")
    for call in (unwanted, wanted):
        await hang_up(call)
    await eventually(lambda: bool(receiver.spans))
    (whole,) = receiver.named("conversation")
    assert whole.attributes["warmline.call_sid"] == "CA2"
    assert whole.parent_id == ""


async def test_a_dead_collector_is_nobodys_concern(start: StartBench) -> None:
    bench = await start(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")
    await bench.wait_warm()
    edge = await bench.connect()
    call = await edge.call("1")
    await talk(bench, call, "caller-2")
    await hang_up(call)
    await eventually(lambda: bench.agent.listener.active_calls == 0)
    await asyncio.sleep(0)
    assert metric(bench, "trace_waiting_spans") > 0
