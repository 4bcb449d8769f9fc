"""Figures and verdicts of drills."""

from dataclasses import replace
from typing import Any

from lab.drills.checker import Audit, Fault, Violation
from lab.drills.history import CallSeen, Change, History, Owner, SessionSeen
from lab.drills.verdict import (
    Figures,
    Limits,
    Since,
    Timing,
    figures_of,
    result_of,
)

CALL = CallSeen("CA1", streams=(90.0,), ended_by="caller", ended_at=120.0)
HISTORY = History(
    calls=(CALL,),
    sessions={
        "sess_1": SessionSeen("sess_1", b"", 90.0, 100.0, closing_at=99.9),
        "sess_2": SessionSeen("sess_2", b"", 100.7, 120.0),
    },
    owners=(
        Owner(90.1, "CA1", 1, "one", "sess_1"),
        Owner(100.6, "CA1", 2, "two", "sess_2"),
    ),
    changes=(
        Change(90.0, "CA1", "ringing", "bridged", "stream_started"),
        Change(100.2, "CA1", "bridged", "holding", "link_lost"),
        Change(100.6, "CA1", "holding", "bridged", "session_found"),
    ),
)
FINE = Audit((), {"CA1": 80}, 0)


def rounded(figures: Figures) -> list[tuple[float | None, ...]]:
    def ms(value: float | None) -> float | None:
        return None if value is None else round(value)

    return [(ms(one.detect_ms), ms(one.restore_ms)) for one in figures.timings]


def test_times_count_from_the_strike() -> None:
    found = figures_of(HISTORY, FINE, struck_at=100.0, since=Since.STRIKE)
    assert rounded(found) == [(200, 700)]
    assert (found.calls, found.broken, found.lost_bytes) == (1, 0, 80)


def test_what_was_before_the_strike_does_not_count() -> None:
    found = figures_of(HISTORY, FINE, struck_at=100.5, since=Since.STRIKE)
    assert found.timings == []


def test_times_count_from_when_the_session_was_closed() -> None:
    found = figures_of(HISTORY, FINE, struck_at=99.0, since=Since.CLOSE)
    assert rounded(found) == [(300, 800)]


def test_a_call_that_left_is_measured_by_what_nobody_heard() -> None:
    found = figures_of(HISTORY, FINE, struck_at=100.0, since=Since.LEFT)
    assert rounded(found) == [(None, 700)]


def test_a_session_that_was_never_closed_has_no_times() -> None:
    sessions = {**HISTORY.sessions, "sess_1": SessionSeen("sess_1", b"", 90.0, 100.0)}
    found = figures_of(
        replace(HISTORY, sessions=sessions), FINE, struck_at=None, since=Since.CLOSE
    )
    assert rounded(found) == [(None, None)]


def test_a_call_that_no_session_heard_again_was_not_restored() -> None:
    alone = replace(HISTORY, owners=HISTORY.owners[:1])
    found = figures_of(alone, FINE, struck_at=100.0, since=Since.STRIKE)
    assert rounded(found) == [(200, None)]


def test_times_may_be_of_the_next_stream() -> None:
    again = replace(HISTORY, calls=(replace(CALL, streams=(90.0, 101.5)),))
    found = figures_of(again, FINE, struck_at=100.0, since=Since.STREAM)
    assert rounded(found) == [(None, 1500)]
    found = figures_of(HISTORY, FINE, struck_at=100.0, since=Since.STREAM)
    assert found.timings == []


def judged(
    figures: Figures, limits: Limits | None = None, leniency: float | None = 1.0
) -> dict[str, Any]:
    return result_of("a-drill", figures, limits or Limits(), leniency=leniency)


GOOD = Figures(calls=2, timings=[Timing(200.0, 900.0), Timing(100.0, 500.0)])
LIMITS = Limits(detect_ms=300, restore_ms=1000)


def test_a_verdict_has_just_what_it_should() -> None:
    assert judged(GOOD, LIMITS) == {
        "drill": "a-drill",
        "calls": 2,
        "recovered": 2,
        "lost": 0,
        "detect_ms": {"p50": 100.0, "p99": 200.0},
        "restore_ms": {"p50": 500.0, "p99": 900.0},
        "audio_lost_ms": 0.0,
        "tools_twice": 0,
        "verdict": "pass",
        "why": "",
    }


def test_what_takes_too_long_fails() -> None:
    slow = replace(GOOD, timings=[Timing(301.0, 900.0)])
    found = judged(slow, LIMITS)
    assert found["verdict"] == "fail"
    assert found["why"] == "detected after 301 ms (p99), limit 300 ms"


def test_what_never_was_restored_fails() -> None:
    found = judged(replace(GOOD, timings=[]), LIMITS)
    assert found["verdict"] == "fail"
    assert "nothing was restored" in found["why"]


def test_leniency_is_told() -> None:
    slow = replace(GOOD, timings=[Timing(301.0, 900.0)])
    found = judged(slow, LIMITS, leniency=2.0)
    assert (found["verdict"], found["why"]) == ("pass", "times may be 2 times as long")
    found = judged(replace(slow, strict=["too late"]), LIMITS, leniency=None)
    assert (found["verdict"], found["why"]) == ("pass", "times were not judged")


def test_a_lost_call_fails_however_lenient() -> None:
    wrong = str(Violation(Fault.CALL_LOST, "CA123456789", "gone"))
    lost = replace(GOOD, broken=1, complaints=[wrong])
    found = judged(lost, leniency=None)
    assert found["verdict"] == "fail"
    assert (found["recovered"], found["lost"]) == (1, 1)
    assert wrong in found["why"]


def test_some_calls_may_be_lost_where_that_is_so() -> None:
    lost = Figures(calls=100, broken=1, complaints=["gone"])
    assert judged(lost, Limits(recovered=0.99))["verdict"] == "pass"
    assert judged(lost, Limits(recovered=1.0))["verdict"] == "fail"


def test_without_calls_nothing_is_passed() -> None:
    assert judged(Figures())["verdict"] == "fail"


def test_rounds_add_up() -> None:
    both = Figures()
    for one in (GOOD, replace(GOOD, broken=1, lost_bytes=8, tools_twice=1)):
        both.add(one)
    found = judged(both)
    assert (found["calls"], found["lost"], found["tools_twice"]) == (4, 1, 1)
    assert found["audio_lost_ms"] == 1.0


def test_of_many_reasons_the_first_are_told() -> None:
    found = judged(replace(GOOD, broken=9, complaints=[f"r{n}" for n in range(9)]))
    assert "r3; and 5 more" in found["why"]
    assert "r4" not in found["why"]
