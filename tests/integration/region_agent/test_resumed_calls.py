"""Calls that lose their agent or session go on at another one, as they were heard."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from backhaul.core.checkpoint import (
    MAX_CHECKPOINT_BYTES,
    Called,
    CallerSaid,
    Item,
    ModelSaid,
    Saying,
)
from backhaul.core.messages import CloseReason, encode_message
from lab.model_script import ModelCall, ModelScript, ModelTurn
from lab.realtime_faults import Fault
from lab.realtime_record import SessionRecord
from lab.speech_files import load_line
from tests.integration.region_agent.bench import (
    CONFIG,
    GREETING,
    PACED,
    Bench,
    EdgeEnd,
    eventually,
)
from tests.integration.region_agent.conftest import Regions
from tests.integration.region_agent.moving_call import Leg, MovingCall
from tests.integration.region_agent.tool_server import Serving, ToolServer

QUESTION, NEXT = load_line("caller-2"), load_line("caller-4")
REPLY, LONG = load_line("reply-1"), load_line("long-1")
SILENCE = b"\xff" * 8000
REAL_TIME = replace(PACED, audio_speed=1.0)
SLOW_WORDS = replace(PACED, transcription_s=(50.0, 50.0))


async def lose(edge: EdgeEnd, call: MovingCall) -> None:
    """Let the agent vanish as far as the edge can see."""
    edge.open_link.close("lost")
    await eventually(lambda: call.leg.closed is not None)


def texts(record: SessionRecord) -> list[tuple[str, str]]:
    """Return what the model's server keeps: who, and what was said."""
    return [text_of(item.wire) for item in record.conversation.items]


def text_of(item: dict[str, Any]) -> tuple[str, str]:
    match item:
        case {"type": "function_call"}:
            return "call", item["name"]
        case {"type": "function_call_output"}:
            return "output", item["output"]
        case {"role": role, "content": [{"text": text}]}:
            return role, text
        case {"role": role, "content": [{"transcript": text}]}:
            return role, text or ""
        case _:
            return item["role"], "(nothing)"


async def ask(call: MovingCall, bench: Bench) -> SessionRecord:
    """Ask the question, and wait until the whole answer came and was written down."""
    call.speak(QUESTION.audio + SILENCE)
    record = bench.record(call.leg)
    await eventually(lambda: [r.status for r in record.responses] == ["completed"])
    await eventually(lambda: len(call.voice) == record.said.byte_count)
    await eventually(lambda: saying(call) == REPLY.text)
    return record


async def test_a_call_goes_on_with_what_was_said_before(regions: Regions) -> None:
    first, second = await regions()
    before, after = await first.connect(), await second.connect()
    call = MovingCall("CA1", "patient")
    await call.open(before)
    await ask(call, first)
    call.play()
    await eventually(lambda: items(call)[-1:] == (ModelSaid(REPLY.text),))
    assert call.kept is not None
    assert call.kept.items == (CallerSaid(QUESTION.text), ModelSaid(REPLY.text))
    covered = len(QUESTION.audio + SILENCE) - call.kept.caller_position
    assert 0 <= covered < len(SILENCE)
    # The caller speaks on while the agent is lost: nothing of it goes astray.
    call.speak(NEXT.audio[:4000])
    await lose(before, call)
    call.caller += NEXT.audio[4000:] + SILENCE
    leg = await call.open(after)
    record = second.record(leg)
    await eventually(lambda: [r.status for r in record.responses] == ["completed"])
    await eventually(
        lambda: (
            texts(record)
            == [
                ("user", QUESTION.text),
                ("assistant", REPLY.text),
                ("user", NEXT.text),
                ("assistant", REPLY.text),
            ]
        )
    )
    assert record.errors == []
    assert record.responses[0].asked_by == "turn_detection"
    assert call.kept.version > 0
    await eventually(lambda: leg.sha256 == record.said.wire()["sha256"])


async def test_an_agent_whose_session_closes_leaves_a_checkpoint(
    regions: Regions,
) -> None:
    first, second = await regions()
    before, after = await first.connect(), await second.connect()
    call = MovingCall("CA1", "patient")
    await call.open(before)
    first.model.faults.plan(Fault.CLOSE_1011, count=1, seconds=0)
    call.speak(QUESTION.audio + SILENCE)
    await eventually(lambda: call.closed == [CloseReason.SESSION_LOST])
    leg = await call.open(after)
    record = second.record(leg)
    await eventually(lambda: [r.status for r in record.responses] == ["completed"])
    assert QUESTION.text in str(texts(record))
    assert record.errors == []


async def test_a_turn_that_nobody_has_written_down_is_heard_again(
    regions: Regions,
) -> None:
    first, second = await regions(SLOW_WORDS)
    before, after = await first.connect(), await second.connect()
    call = MovingCall("CA1", "patient")
    await call.open(before)
    call.speak(QUESTION.audio + SILENCE)
    record = first.record(call.leg)
    await eventually(lambda: [r.status for r in record.responses] == ["completed"])
    await eventually(lambda: len(call.voice) == record.said.byte_count)
    await lose(before, call)
    leg = await call.open(after)
    record = second.record(leg)
    await eventually(lambda: [r.status for r in record.responses] == ["completed"])
    assert record.heard.byte_count == len(call.caller)
    assert [role for role, _ in texts(record)] == ["user", "assistant"]
    # The answer that is still being played would come twice.
    assert call.cleared.position > 0
    assert record.errors == []


async def test_nobody_is_greeted_twice(regions: Regions) -> None:
    first, second = await regions()
    before, after = await first.connect(), await second.connect()
    call = MovingCall("CA1", "greeted", GREETING.text, len(GREETING.audio))
    await call.open(before)
    await eventually(lambda: call.kept is not None)
    call.play(4000)
    await lose(before, call)
    leg = await call.open(after)
    record = second.record(leg)
    await eventually(lambda: texts(record) == [("assistant", GREETING.text)])
    # What is still being played can be interrupted as ever.
    call.speak(QUESTION.audio + SILENCE)
    await eventually(lambda: [r.status for r in record.responses] == ["completed"])
    assert call.cleared == type(call.cleared)(len(GREETING.audio), 4000)
    (words, *_) = (text for role, text in texts(record) if role == "assistant")
    assert GREETING.text.startswith(words)
    assert words != GREETING.text
    assert record.errors == []


@pytest.mark.parametrize("manner", ["continue", "repeat"])
async def test_a_reply_that_was_cut_goes_on(regions: Regions, manner: str) -> None:
    config = CONFIG + f'after_failover = "{manner}"\n'
    first, second = await regions(REAL_TIME, config)
    script = ModelScript((ModelTurn(speak="long-1"),))
    first.model.scripts.add(script)
    before, after = await first.connect(), await second.connect()
    call = MovingCall("CA1", "patient")
    await call.open(before)
    call.speak(QUESTION.audio + SILENCE)
    await eventually(lambda: bool(call.kept and saying(call)))
    call.play(len(call.voice) - 800)
    await lose(before, call)
    cut = saying(call)
    leg = await call.open(after)
    record = second.record(leg)
    await eventually(lambda: len(record.responses) == 1)
    if manner == "continue":
        assert texts(record)[1][0] == "assistant"
        assert LONG.text.startswith(texts(record)[1][1])
        assert cut.startswith(texts(record)[1][1])
        assert call.cleared.position == 0
    else:
        assert texts(record)[:1] == [("user", QUESTION.text)]
        assert call.cleared.position > 0
    assert record.responses[0].asked_by == "client"
    await eventually(lambda: len(leg.audio) > 0)
    assert record.errors == []


def items(call: MovingCall) -> tuple[Item, ...]:
    return call.kept.items if call.kept else ()


def saying(call: MovingCall) -> str:
    """Return what is known of the reply that is being said."""
    return next((one.text for one in items(call) if isinstance(one, Saying)), "")


TOOL = """
[[profiles.patient.tools]]
name = "count"
description = "Counts."
url = "http://127.0.0.1:{port}/count"
allow_private = true
parameters = {{ type = "object", properties = {{ n = {{}} }} }}
"""


class StuckServer(ToolServer):
    """Executes what it is asked, and lets the first who asks wait for ever."""

    async def count(self, request: Any, send: Any) -> None:
        known = bool(self.executed)
        if known:
            await super().count(request, send)
            return
        self.executed[request.headers["idempotency-key"]] += 1
        self.results[request.headers["idempotency-key"]] = "forty-two"
        await asyncio.Event().wait()


@pytest.fixture
async def stuck() -> AsyncIterator[Serving]:
    serving = Serving(StuckServer(), alpn=("http/1.1",))
    await serving.start()
    yield serving
    await serving.stop()


async def test_a_function_is_executed_once_whoever_calls_it(
    regions: Regions, stuck: Serving
) -> None:
    first, second = await regions(config=CONFIG + TOOL.format(port=stuck.port))
    calls = (ModelCall("count", {"n": 1}),)
    first.model.scripts.add(ModelScript((ModelTurn(calls=calls),)))
    before, after = await first.connect(), await second.connect()
    call = MovingCall("CA1", "patient")
    await call.open(before)
    call.speak(QUESTION.audio + SILENCE)
    await eventually(lambda: bool(stuck.app.executed))
    await eventually(lambda: called(call) is not None)
    await lose(before, call)
    leg = await call.open(after)
    record = second.record(leg)
    await eventually(lambda: [r.status for r in record.responses] == ["completed"])
    assert texts(record)[:3] == [
        ("user", QUESTION.text),
        ("call", "count"),
        ("output", "forty-two"),
    ]
    (made,) = record.calls.all()
    assert len(made.answers) == 1
    keys = [seen.headers["idempotency-key"] for seen in stuck.app.seen]
    assert keys == 2 * [f"CA1-{made.call_id}"]
    assert stuck.app.executed == {keys[0]: 1}
    assert record.responses[0].missing_outputs == []
    assert record.errors == []
    # The next agent need not call it any more.
    await eventually(lambda: (one := called(call)) is not None and bool(one.output))
    await lose(after, call)
    leg = await call.open(await first.connect("edge-2"))
    record = first.record(leg)
    await eventually(lambda: ("output", "forty-two") in texts(record))
    assert len(stuck.app.seen) == 2


def called(call: MovingCall) -> Called | None:
    return next((one for one in items(call) if isinstance(one, Called)), None)


async def test_an_older_epoch_is_not_served_any_more(regions: Regions) -> None:
    first, _ = await regions()
    edge = await first.connect()
    call = MovingCall("CA1", "patient", epoch=1)
    await call.open(edge)
    refused = await edge.lease("late", call_sid="CA1", epoch=1)
    assert getattr(refused, "reason", None) is CloseReason.STALE_EPOCH


async def test_checkpoints_are_few_and_small(regions: Regions) -> None:
    first, _ = await regions()
    edge = await first.connect()
    call = MovingCall("CA1", "patient")
    leg: Leg = await call.open(edge)
    await ask(call, first)
    call.play()
    await eventually(lambda: bool(call.kept) and not saying(call))
    kept = [one for one in leg.messages if type(one).__name__ == "Checkpoint"]
    frames = len(leg.audio) // 1600
    assert len(kept) <= 5 < frames
    assert all(len(encode_message(one)) < MAX_CHECKPOINT_BYTES / 100 for one in kept)
