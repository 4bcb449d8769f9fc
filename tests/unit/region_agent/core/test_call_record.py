"""What one call came to."""

from backhaul.core.messages import CloseReason, TransferKind
from region_agent.core.call_events import (
    CallEvent,
    Dtmf,
    Interrupted,
    SilencePrompted,
    ToolCalled,
    TransferEnded,
    TransferRequested,
)
from region_agent.core.call_record import CallRecord
from region_agent.core.usage import (
    DEFAULT_PRICES,
    OutputTokenDetails,
    ResponseUsage,
    UsageTotals,
)

MODEL = "gpt-realtime-2.1"
SPOKEN = ResponseUsage(
    total_tokens=10, output_token_details=OutputTokenDetails(audio_tokens=10)
)


def record() -> CallRecord:
    return CallRecord(model=MODEL, prices=DEFAULT_PRICES[MODEL], started_at=100.0)


def test_a_call_in_which_nothing_happened() -> None:
    call = record()
    call.ended(CloseReason.CALLER_HUNG_UP, now=103.25)
    summary = call.summary(now=200.0)
    assert summary.reason is CloseReason.CALLER_HUNG_UP
    assert summary.duration_ms == 3250
    assert summary.first_audio_ms is None
    assert summary.usage == UsageTotals()
    assert summary.cost_nano_usd == 0
    assert summary.tool_calls == {}


def test_events_are_counted_by_kind() -> None:
    call = record()
    events: tuple[CallEvent, ...] = (
        Interrupted(heard_ms=20),
        Interrupted(heard_ms=0),
        SilencePrompted(),
        Dtmf(count=4),
        Dtmf(count=1),
        ToolCalled("book", "ok", 10),
        ToolCalled("book", "timeout", 10),
        ToolCalled("look_up", "ok", 10),
        TransferRequested("sales", TransferKind.QUEUE),
        TransferEnded("busy"),
    )
    for event in events:
        call.note(event)
    summary = call.summary(now=101.0)
    assert summary.interruptions == 2
    assert summary.silence_prompts == 1
    assert summary.digits == 5
    assert summary.tool_calls == {"ok": 2, "timeout": 1}
    assert summary.transfers == 1


def test_turns_responses_and_their_tokens_are_counted() -> None:
    call = record()
    call.caller_turn()
    call.false_start()
    call.response_done("completed", SPOKEN)
    call.response_done("cancelled", SPOKEN)
    call.response_done("failed", None)
    summary = call.summary(now=101.0)
    assert (summary.caller_turns, summary.false_starts) == (1, 1)
    assert (summary.model_responses, summary.failed_responses) == (3, 1)
    assert summary.usage == UsageTotals(total_tokens=20, audio_out=20)
    assert summary.cost_nano_usd == 20 * 64_000


def test_only_the_first_audio_and_the_first_reason_count() -> None:
    call = record()
    call.first_audio(now=100.02)
    call.first_audio(now=105.0)
    call.ended(CloseReason.MODEL_HUNG_UP, now=110.0)
    call.ended(CloseReason.LINK_LOST, now=111.0)
    summary = call.summary(now=112.0)
    assert summary.first_audio_ms == 20
    assert (summary.reason, summary.duration_ms) == (CloseReason.MODEL_HUNG_UP, 10_000)


def test_tokens_that_come_to_light_after_the_end_count() -> None:
    call = record()
    call.ended(CloseReason.CALLER_HUNG_UP, now=101.0)
    call.response_done("cancelled", SPOKEN)
    assert call.summary(now=102.0).usage.total_tokens == 10


def test_a_record_without_an_end_says_that_something_is_wrong() -> None:
    summary = record().summary(now=104.0)
    assert summary.reason is CloseReason.INTERNAL_ERROR
    assert summary.duration_ms == 4000


def test_a_model_without_prices_has_no_cost() -> None:
    call = CallRecord(model="another", prices=None, started_at=0.0)
    assert call.summary(now=1.0).cost_nano_usd is None
