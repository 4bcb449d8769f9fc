"""A session dies in the middle of a sentence; caller and model go on talking."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest
import pytest_asyncio

from backhaul.core.checkpoint import Called
from lab.model_script import ModelCall, ModelScript, ModelTurn
from lab.realtime_faults import Fault
from lab.realtime_record import SessionRecord
from lab.speech_files import load_line
from lab.telephone_line import TelephoneLine
from lab.twilio import CallPlan, Turn
from tests.integration.conftest import eventually
from tests.integration.conversations.conftest import OpenLine
from tests.integration.region_agent.test_resumed_calls import StuckServer
from tests.integration.region_agent.tool_server import Serving

GREETED = """
greeting = "Hello, and thank you for calling. How can I help you today?"
warm_sessions = 2
"""
FIRST, SECOND, THIRD = (load_line(f"caller-{number}") for number in (2, 4, 5))


def plan(line: TelephoneLine) -> CallPlan:
    return CallPlan(
        webhook_url=line.webhook_url,
        from_number="+14155550123",
        to_number="+14155550100",
        steps=tuple(Turn(one.audio) for one in (FIRST, SECOND, THIRD)),
    )


def talks(line: TelephoneLine) -> list[SessionRecord]:
    """Return the sessions that a caller was heard by."""
    return [one for one in line.model.ledger.sessions() if one.heard.byte_count]


async def first_answer(line: TelephoneLine) -> None:
    """Wait until the model has given one."""
    async with asyncio.timeout(60):
        while not any(
            response.status == "completed"
            for one in talks(line)
            for response in one.responses
        ):
            await asyncio.sleep(0.01)


@pytest.mark.timeout(120)
async def test_a_session_that_dies_in_mid_reply_costs_no_word(
    answer: OpenLine,
) -> None:
    line = await answer(GREETED)
    call = asyncio.ensure_future(  # noqa: TID251 - awaited below
        line.carrier.place_call(plan(line))
    )
    await first_answer(line)
    line.model.faults.plan(Fault.CLOSE_1011, count=1, seconds=0)
    report = await call
    assert report.errors == ()
    assert report.ended_by == "caller"
    assert len(report.stream_sids) == 1
    assert len(report.turns) == 3
    assert all(turn.reply_first_audio_ms is not None for turn in report.turns)
    await eventually(lambda: all(one.closed_at for one in talks(line)))
    _, second = sorted(talks(line), key=lambda one: one.closed_at or 0)
    lost = line.edge.metrics.registry.get_sample_value(
        "edge_sessions_lost_total", {"reason": "session_lost"}
    )
    assert lost == 1
    known = str([item.record() for item in second.conversation.items])
    for said in (FIRST, SECOND, THIRD):
        assert said.text in known
    assert second.errors == []


TOOL = """
greeting = "Hello, and thank you for calling. How can I help you today?"
warm_sessions = 2
[[profiles.desk.tools]]
name = "count"
description = "Counts."
url = "http://127.0.0.1:{port}/count"
allow_private = true
parameters = {{ type = "object", properties = {{ n = {{}} }} }}
"""


@pytest_asyncio.fixture(name="stuck")
async def _stuck() -> AsyncIterator[Serving]:
    serving = Serving(StuckServer(), alpn=("http/1.1",))
    await serving.start()
    yield serving
    await serving.stop()


@pytest.mark.timeout(120)
async def test_what_a_tool_was_asked_for_is_done_once(
    answer: OpenLine, stuck: Serving
) -> None:
    line = await answer(TOOL.format(port=stuck.port))
    calls = (ModelCall("count", {"n": 1}),)
    line.model.scripts.add(ModelScript((ModelTurn(calls=calls),)))
    call = asyncio.ensure_future(  # noqa: TID251 - awaited below
        line.carrier.place_call(plan(line))
    )
    async with asyncio.timeout(60):
        while not stuck.app.executed:
            await asyncio.sleep(0.01)
        (talking,) = talks(line)
        while not kept_the_call(line):
            await asyncio.sleep(0.01)
    line.model.expire_session(talking.session_id)
    report = await call
    assert talking.state == "closed"
    assert report.errors == ()
    assert len(report.stream_sids) == 1
    assert list(stuck.app.executed.values()) == [1]
    keys = {seen.headers["idempotency-key"] for seen in stuck.app.seen}
    assert len(keys) == 1
    (after,) = (one for one in talks(line) if one is not talking)
    assert "forty-two" in str([item.record() for item in after.conversation.items])


def kept_the_call(line: TelephoneLine) -> bool:
    """Tell whether the edge knows that the tool was called."""
    kept = line.edge.calls.live()[0].session.memory.checkpoint
    return kept is not None and any(isinstance(one, Called) for one in kept.items)


async def second_turn(line: TelephoneLine) -> None:
    """Wait until the caller has begun to speak again, and has not ended."""
    await first_answer(line)
    async with asyncio.timeout(60):
        while len(talks(line)[0].turns) < 2:
            await asyncio.sleep(0.01)


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("moment", "fault", "reason"),
    [
        (first_answer, Fault.MUTE_NOW, "model_silent"),
        (first_answer, Fault.DEAF_NOW, "model_deaf"),
        (second_turn, Fault.DEAF_NOW, "model_deaf"),
    ],
)
async def test_a_session_that_is_of_no_use_is_left_and_the_turn_answered(
    answer: OpenLine,
    moment: Callable[[TelephoneLine], Awaitable[None]],
    fault: Fault,
    reason: str,
) -> None:
    line = await answer(GREETED)
    patient = replace(plan(line), reply_timeout_s=60.0)
    call = asyncio.ensure_future(  # noqa: TID251 - awaited below
        line.carrier.place_call(patient)
    )
    await moment(line)
    (first,) = talks(line)
    assert line.model.strike(fault, 1, {first.session_id}) == 1
    report = await call
    assert report.errors == ()
    assert report.ended_by == "caller"
    assert len(report.stream_sids) == 1
    assert all(turn.reply_first_audio_ms is not None for turn in report.turns)
    await eventually(lambda: all(one.closed_at for one in talks(line)))
    first, second = sorted(talks(line), key=lambda one: one.closed_at or 0)
    known = str([item.record() for item in second.conversation.items])
    assert all(one.text in known for one in (FIRST, SECOND, THIRD))
    assert len(first.responses) == 1
    assert [one.status for one in second.responses] == ["completed"] * 2
    value = line.edge.metrics.registry.get_sample_value
    labels = {"reason": reason, "outcome": "moved"}
    assert value("edge_calls_moved_total", labels) == 1
    assert value("edge_sessions_lost_total", {"reason": "session_lost"}) is None
