"""The checker finds what is wrong, in histories that are wrong on purpose."""

from dataclasses import replace

import pytest

from lab.drills.checker import Allowed, Fault, audit
from lab.drills.history import CallSeen, History, Owner, SessionSeen, ToolRun

FRAME = 160
SENT = b"".join(bytes([1 + n % 200, n // 200]) * (FRAME // 2) for n in range(500))
"""Ten seconds, no two frames of which are alike."""
HALF = len(SENT) // 2

CALL = CallSeen(
    call_sid="CA1",
    streams=(100.0,),
    ended_by="caller",
    sent=SENT,
    sent_from=100.0,
    lines=("greeting", "reply-1", "reply-2"),
    ended_at=110.0,
)
FIRST = SessionSeen("sess_1", SENT[:HALF], heard_from=100.1, heard_until=105.1)
SECOND = SessionSeen("sess_2", SENT[HALF:], heard_from=105.4, heard_until=110.0)
OWNERS = (
    Owner(100.1, "CA1", 1, "us-east-1", "sess_1"),
    Owner(105.4, "CA1", 2, "eu-central-1", "sess_2"),
)
RUNS = (
    ToolRun(102.0, "CA1", "note of turn 1", "key-1"),
    ToolRun(107.0, "CA1", "note of turn 2", "key-2"),
)
GOOD = History(
    calls=(CALL,),
    sessions={"sess_1": FIRST, "sess_2": SECOND},
    owners=OWNERS,
    tool_runs=RUNS,
)


def faults(history: History, allowed: Allowed | None = None) -> list[Fault]:
    return [one.fault for one in audit(history, allowed).violations]


def with_call(**changes: object) -> History:
    return replace(GOOD, calls=(replace(CALL, **changes),))  # type: ignore[arg-type]


def with_sessions(first: SessionSeen, second: SessionSeen) -> History:
    return replace(GOOD, sessions={"sess_1": first, "sess_2": second})


def test_nothing_is_wrong_with_a_call_that_moved_well() -> None:
    found = audit(GOOD, Allowed(tools=2))
    assert found.violations == ()
    assert found.lost_bytes == {"CA1": 0}
    assert found.tools_twice == 0
    assert found.broken == frozenset()


def test_what_was_said_again_to_the_next_session_is_no_fault() -> None:
    again = replace(SECOND, heard=SENT[HALF - 30 * FRAME :])
    assert faults(with_sessions(FIRST, again)) == []


@pytest.mark.parametrize("ended_by", ["twiml", "rejected", "error"])
def test_a_call_that_its_caller_did_not_end_is_lost(ended_by: str) -> None:
    assert faults(with_call(ended_by=ended_by)) == [Fault.CALL_LOST]


def test_a_reply_that_forgets_is_a_lost_call() -> None:
    problem = "hear reply-3: only the first 0% of it was heard in 30 s"
    (found,) = audit(with_call(problems=(problem,))).violations
    assert found.fault is Fault.CALL_LOST
    assert problem in str(found)


def test_what_the_carrier_complains_of_is_a_fault_unless_it_may() -> None:
    complaint = with_call(errors=("31921 socket ended with 1006",))
    assert faults(complaint) == [Fault.CALL_LOST]
    assert faults(complaint, Allowed(errors=True)) == []


def test_another_stream_is_a_fault_unless_it_may_be() -> None:
    again = with_call(streams=(100.0, 104.0))
    assert faults(again) == [Fault.STREAM_CLOSED]
    assert faults(again, Allowed(streams=2)) == []
    assert Fault.STREAM_CLOSED in faults(with_call(streams=()))


def test_a_second_greeting_is_a_fault() -> None:
    lines = ("greeting", "reply-1", "greeting")
    assert faults(with_call(lines=lines)) == [Fault.GREETED_TWICE]


@pytest.mark.parametrize("epoch", [0, 1])
def test_epochs_must_rise(epoch: int) -> None:
    first, second = OWNERS
    wrong = replace(GOOD, owners=(first, replace(second, epoch=epoch)))
    assert faults(wrong) == [Fault.EPOCH_ORDER]


def test_the_same_session_may_be_attached_again() -> None:
    first, _ = OWNERS
    again = replace(first, at=103.0)
    whole = replace(FIRST, heard=SENT, heard_until=110.0)
    history = replace(GOOD, owners=(first, again), sessions={"sess_1": whole})
    assert faults(history) == []


def test_an_old_session_that_goes_on_hearing_is_a_second_owner() -> None:
    on = replace(FIRST, heard=SENT[: HALF + 150 * FRAME], heard_until=108.1)
    assert faults(with_sessions(on, SECOND)) == [Fault.TWO_OWNERS]


def test_an_old_session_that_hears_late_is_none() -> None:
    # It was stopped, and gets what had been said to it when it goes on.
    late = replace(FIRST, heard_until=112.0)
    assert faults(with_sessions(late, SECOND)) == []


def test_what_nobody_heard_is_lost() -> None:
    later = replace(SECOND, heard=SENT[HALF + 20 * FRAME :])
    history = with_sessions(FIRST, later)
    assert faults(history) == [Fault.AUDIO_LOST]
    assert audit(history).lost_bytes == {"CA1": 20 * FRAME}
    assert faults(history, Allowed(lost_s=0.5)) == []
    assert faults(history, Allowed(lost_s=0.3)) == [Fault.AUDIO_LOST]
    reported = replace(history, reported_lost={"CA1": 20 * FRAME})
    assert faults(reported) == []
    on_links = replace(history, lost_on_links=20 * FRAME)
    assert faults(on_links) == []
    less = replace(history, reported_lost={"CA1": 9 * FRAME})
    assert faults(less) == [Fault.AUDIO_LOST]


def test_a_session_that_never_heard_anything_loses_all() -> None:
    deaf = SessionSeen("sess_2")
    assert faults(with_sessions(FIRST, deaf)) == [Fault.AUDIO_LOST]
    assert faults(replace(GOOD, sessions={})) == [Fault.AUDIO_LOST]


def test_what_is_heard_twice_in_one_session_is_strange() -> None:
    heard = SENT[: 50 * FRAME] + SENT[40 * FRAME : HALF]
    twice = replace(FIRST, heard=heard)
    assert Fault.AUDIO_STRANGE in faults(with_sessions(twice, SECOND))


def test_a_function_that_is_executed_under_two_keys_was_executed_twice() -> None:
    again = replace(RUNS[1], key="key-3", at=108.0)
    found = audit(replace(GOOD, tool_runs=(*RUNS, again)))
    assert [one.fault for one in found.violations] == [Fault.TOOL_TWICE]
    assert found.tools_twice == 1


def test_a_function_that_was_never_executed_is_missed() -> None:
    missed = replace(GOOD, tool_runs=RUNS[:1])
    assert faults(missed, Allowed(tools=2)) == [Fault.TOOL_MISSED]
    assert faults(missed) == []


def test_calls_that_began_later_may_be_left_out() -> None:
    later = replace(CALL, call_sid="CA2", sent_from=120.0, streams=(120.0,))
    never = replace(CALL, call_sid="CA3", streams=(), sent_from=90.0)
    history = replace(GOOD, calls=(CALL, later, never))
    assert history.begun_before(110.0).calls == (CALL,)
