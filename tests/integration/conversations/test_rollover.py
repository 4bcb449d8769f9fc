"""Sessions end while their callers talk on; nobody notices."""

import pytest

from lab.speech_files import load_line
from lab.twilio import CallPlan, Turn
from tests.integration.conftest import eventually
from tests.integration.conversations.conftest import OpenLine

SAID = tuple(load_line(f"caller-{number}") for number in (2, 4, 5, 6))
PROFILE = """
greeting = "Hello, and thank you for calling. How can I help you today?"
warm_sessions = 2
"""
SHORT_LIVED = {
    "REGION_AGENT_MAX_WARM_AGE_S": "4",
    "REGION_AGENT_MIN_CALL_TIME_LEFT_S": "12",
    "REGION_AGENT_ROLLOVER_LEAD_S": "10",
}
LIFETIME_S = 20.0


@pytest.mark.timeout(180)
async def test_a_call_outlives_its_sessions(answer: OpenLine) -> None:
    line = await answer(PROFILE, environ=SHORT_LIVED, session_lifetime_s=LIFETIME_S)
    report = await line.carrier.place_call(
        CallPlan(
            webhook_url=line.webhook_url,
            from_number="+14155550123",
            to_number="+14155550100",
            steps=tuple(Turn(one.audio) for one in SAID),
        )
    )
    assert report.errors == ()
    assert report.ended_by == "caller"
    assert len(report.stream_sids) == 1
    assert len(report.turns) == len(SAID)
    assert all(turn.reply_first_audio_ms is not None for turn in report.turns)
    talks = [one for one in line.model.ledger.sessions() if one.heard.byte_count]
    await eventually(lambda: all(one.closed_at for one in talks))
    assert len(talks) > 1
    last = max(talks, key=lambda one: one.closed_at or 0)
    known = str([item.record() for item in last.conversation.items])
    for said in SAID:
        assert said.text in known
    assert not any(one.errors for one in talks)
    value = line.edge.metrics.registry.get_sample_value
    labels = {"reason": "session_expiring", "outcome": "moved"}
    assert value("edge_calls_moved_total", labels) == len(talks) - 1
    assert value("edge_sessions_lost_total", {"reason": "session_lost"}) is None
