"""The steps of a call: what its caller saw, and what its edge tells."""

from typing import Any

from lab.call_waterfall import setup_of, talk_of
from lab.twilio_report import AudioCount, CallReport, TurnReport
from lab.waterfall import Step

NOTHING = AudioCount(0, "")
TIMELINE: list[dict[str, Any]] = [
    {"name": "webhook", "leg": 1, "start_ms": 0.0, "end_ms": 9.0, "outcome": "placed"},
    {
        "name": "lease",
        "leg": 1,
        "start_ms": 1.0,
        "end_ms": 8.0,
        "outcome": "warm",
        "region": "us-east",
    },
    {
        "name": "failover",
        "leg": 2,
        "start_ms": 5000.0,
        "end_ms": 9000.0,
        "reason": "session_lost",
    },
]


def report(*turns: TurnReport, webhook_ms: float | None = 10.0) -> CallReport:
    return CallReport(
        call_sid="CA1",
        from_number="",
        to_number="",
        answered=True,
        ended_by="caller",
        started_at=0.0,
        duration_s=9.0,
        webhook_ms=webhook_ms,
        stream_connect_ms=None,
        first_audio_ms=None,
        turns=turns,
        gaps=(),
        marks=0,
        marks_echoed=0,
        clears=0,
        sent=NOTHING,
        received=NOTHING,
        lost_frames=0,
        close_codes=(),
        errors=(),
        stream_sids=(),
        custom_parameters={},
        verbs=(),
        clock_late_ms_p99=0.0,
        timeline=(),
        received_audio=b"",
        heard=b"",
    )


def test_the_setup_is_the_callers_and_the_edges() -> None:
    assert list(setup_of(report(), TIMELINE)) == [
        Step("webhook, as asked", 0.0, 10.0),
        Step("webhook", 0.0, 9.0, 1, "placed"),
        Step("lease", 1.0, 8.0, 2, "us-east warm"),
    ]


def test_an_edge_that_cannot_be_asked_is_left_out() -> None:
    assert list(setup_of(report(), ())) == [Step("webhook, as asked", 0.0, 10.0)]
    assert list(setup_of(report(webhook_ms=None), ())) == []


def test_the_conversation_is_turns_and_failovers() -> None:
    turns = (
        TurnReport(1000.0, 2000.0, 500.0, None),
        TurnReport(3000.0, 4000.0, -20.0, None),
        TurnReport(6000.0, None, None, None),
    )
    assert list(talk_of(report(*turns), TIMELINE)) == [
        Step("call", 0.0, 9000.0),
        Step("failover", 5000.0, 9000.0, 1, "session_lost"),
        Step("caller speaks, 1", 1000.0, 2000.0, 1),
        Step("until the reply, 1", 2000.0, 2500.0, 1),
        Step("caller speaks, 2", 3000.0, 4000.0, 1),
    ]
