"""Functions are called once, answered once, and covered by a filler."""

import json

from backhaul.core.checkpoint import Called
from backhaul.core.messages import CloseReason
from backhaul.core.profile import Profile
from backhaul.core.tools import Tool, TransferTarget
from region_agent.core.conversation_events import (
    CallTool,
    ConversationAction,
    EndCall,
    SendEvent,
    SendMessage,
    ToolCalled,
    TransferEnded,
    TransferStarted,
)
from region_agent.core.last_words import Pending
from region_agent.core.tool_calls import Reaction, ToolCalls
from region_agent.core.transcript import Transcript

URL = "https://example.com/"
PROFILE = Profile(
    instructions="Be kind.",
    tools=(
        Tool("slow", "Slow.", URL, filler="One moment.", filler_after_ms=1000),
        Tool("slower", "Slower.", URL, filler="Still here.", filler_after_ms=1500),
        Tool("quick", "Quick.", URL),
    ),
    transfers={"desk": TransferTarget(to="+14155550100")},
    may_send_dtmf=True,
)
TO_DESK = '{"destination":"desk","summary":"A cake."}'


def outputs(actions: tuple[ConversationAction, ...]) -> list[tuple[str, str]]:
    sent = [json.loads(a.event) for a in actions if isinstance(a, SendEvent)]
    return [(event["item"]["call_id"], event["item"]["output"]) for event in sent]


def call(
    tools: ToolCalls,
    call_id: str,
    name: str,
    arguments: str = "{}",
    *,
    busy: bool = False,
    now: float = 0.0,
) -> Reaction:
    return tools.called(ToolCalled(call_id, name, arguments), busy=busy, now=now)


def test_an_endpoint_is_asked_once_and_its_answer_passed_on_once() -> None:
    tools = ToolCalls(PROFILE, call_sid="CA1")
    asked = call(tools, "c1", "quick", '{"a":1}')
    assert asked == Reaction((CallTool("c1", "quick", '{"a":1}', "CA1-c1"),))
    assert call(tools, "c1", "quick") == Reaction()
    assert tools.repeated == 1
    assert tools.waiting
    answered = tools.answered("c1", "42")
    assert outputs(answered.actions) == [("c1", "42")]
    assert answered.respond
    assert tools.answered("c1", "43") == Reaction()
    assert not tools.waiting


def test_the_last_of_parallel_answers_makes_the_model_go_on() -> None:
    tools = ToolCalls(PROFILE)
    call(tools, "c1", "quick")
    call(tools, "c2", "quick")
    assert not tools.answered("c2", "2").respond
    assert tools.answered("c1", "1").respond


def test_what_cannot_be_done_is_told_and_waits_for_the_others() -> None:
    tools = ToolCalls(PROFILE)
    refused = call(tools, "c1", "transfer", '{"destination":"moon"}')
    assert refused.respond
    assert [call_id for call_id, _ in outputs(refused.actions)] == ["c1"]
    call(tools, "c2", "quick")
    assert not call(tools, "c3", "send_dtmf", '{"digits":"x"}').respond


def test_even_a_function_that_nobody_declared_is_asked_for() -> None:
    tools = ToolCalls(PROFILE, call_sid="CA1")
    asked = call(tools, "c1", "unheard_of", "nonsense")
    assert asked.actions == (CallTool("c1", "unheard_of", "nonsense", "CA1-c1"),)
    assert tools.next_deadline() is None


def test_built_in_tools_wait_for_the_last_words() -> None:
    tools = ToolCalls(PROFILE)
    hang_up = call(tools, "c1", "hang_up")
    assert hang_up.pending == Pending(EndCall(CloseReason.MODEL_HUNG_UP), "c1")
    sending = call(tools, "c2", "send_dtmf", '{"digits":"1"}').pending
    assert sending is not None
    assert sending.report is None
    transfer = call(tools, "c3", "transfer", TO_DESK).pending
    assert transfer is not None
    assert isinstance(transfer.action, SendMessage)
    assert isinstance(transfer.report, TransferStarted)
    assert transfer.report.summary == "A cake."
    assert not tools.waiting


def test_only_one_thing_waits_for_the_last_words() -> None:
    tools = ToolCalls(PROFILE)
    refused = call(tools, "c1", "hang_up", busy=True)
    [(call_id, why)] = outputs(refused.actions)
    assert (call_id, "already" in why) == ("c1", True)
    assert refused.pending is None
    assert not refused.respond
    assert call(tools, "c2", "quick", busy=True).actions


def test_nothing_else_is_begun_while_the_caller_is_away() -> None:
    tools = ToolCalls(PROFILE)
    tools.away("c1")
    assert tools.waiting
    assert call(tools, "c2", "hang_up").pending is None
    back = tools.returned("no-answer")
    assert back.respond
    assert back.actions[0] == TransferEnded("no-answer")
    assert outputs(back.actions) == [
        ("c1", '{"error":"nobody could be reached: no-answer"}')
    ]
    assert tools.returned("no-answer") == Reaction()


def test_keys_that_were_sent_are_reported_to_the_model() -> None:
    tools = ToolCalls(PROFILE)
    tools.away("c1")
    back = tools.returned("sent")
    assert outputs(back.actions) == [("c1", '{"status":"sent"}')]
    assert len(back.actions) == 1


def test_what_the_caller_prevented_is_told_if_the_model_asked_for_it() -> None:
    tools = ToolCalls(PROFILE)
    end = EndCall(CloseReason.SILENCE)
    assert tools.cancelled(None) == ()
    assert tools.cancelled(Pending(end)) == ()
    [(call_id, _)] = outputs(tools.cancelled(Pending(end, "c1")))
    assert call_id == "c1"


def test_a_filler_covers_each_call_once() -> None:
    tools = ToolCalls(PROFILE)
    call(tools, "c1", "slow", now=10.0)
    call(tools, "c2", "slow", now=10.0)
    call(tools, "c3", "slower", now=10.0)
    assert tools.next_deadline() == 11.0
    assert tools.expire(quiet=True, now=10.9) == ""
    assert tools.expire(quiet=True, now=11.0) == "One moment."
    assert tools.next_deadline() == 11.5
    tools.answered("c3", "42")
    assert tools.next_deadline() is None
    assert tools.expire(quiet=True, now=99.0) == ""


def test_a_filler_waits_until_it_is_quiet() -> None:
    tools = ToolCalls(PROFILE)
    call(tools, "c1", "slow", now=0.0)
    assert tools.expire(quiet=False, now=1.0) == ""
    assert tools.next_deadline() == 1.5
    assert tools.expire(quiet=True, now=1.5) == "One moment."


def test_the_calls_that_are_remembered_are_bounded() -> None:
    tools = ToolCalls(PROFILE)
    for number in range(1001):
        call(tools, f"c{number}", "quick")
    assert call(tools, "c1000", "quick") == Reaction()
    assert call(tools, "c1", "quick") == Reaction()
    assert call(tools, "c0", "quick").actions


# From agent to agent


def test_calls_and_their_outputs_are_kept() -> None:
    transcript = Transcript()
    tools = ToolCalls(PROFILE, transcript, call_sid="CA1")
    call(tools, "c1", "quick")
    call(tools, "c2", "transfer", TO_DESK)
    tools.away("c2")
    quick = Called("c1", "quick", "{}", key="CA1-c1")
    transfer = Called("c2", "transfer", TO_DESK, key="CA1-c2")
    before = transcript.checkpoint(elapsed_s=0.0)
    assert before.items == (quick, transfer)
    assert before.errand == "c2"
    tools.answered("c1", "42")
    tools.returned("sent")
    after = transcript.checkpoint(elapsed_s=0.0)
    assert [c.output for c in after.items if isinstance(c, Called)] == [
        "42",
        '{"status":"sent"}',
    ]
    assert after.errand == ""


def test_a_call_is_made_again_under_its_old_key() -> None:
    transcript = Transcript()
    tools = ToolCalls(PROFILE, transcript, call_sid="CA1")
    before = Called("c1", "quick", "{}", key="older-c1")
    assert not tools.knows(before)
    again = tools.call(before, busy=False, now=0.0)
    assert again == Reaction((CallTool("c1", "quick", "{}", "older-c1"),))
    assert call(tools, "c1", "quick") == Reaction()
    assert tools.answered("c1", "42").respond
    assert transcript.checkpoint(elapsed_s=0.0).items == ()
