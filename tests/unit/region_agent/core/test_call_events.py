"""Events on the wire, their stamps, and what they do not show."""

import json

import msgspec
import pytest

from backhaul.core.messages import CloseReason, TransferKind
from region_agent.core.call_events import (
    CallEnded,
    CallEvent,
    CallStamps,
    CallStarted,
    Dtmf,
    Interrupted,
    SilencePrompted,
    Speaker,
    ToolCalled,
    TranscriptSaid,
    TransferEnded,
    TransferRequested,
    encode_event,
    without_words,
)
from region_agent.core.usage import UsageTotals

ENDED = CallEnded(
    reason=CloseReason.CALLER_HUNG_UP,
    model="gpt-realtime-2.1",
    duration_ms=61_000,
    first_audio_ms=20,
    caller_turns=3,
    model_responses=4,
    failed_responses=0,
    interruptions=1,
    false_starts=2,
    tool_calls={"ok": 1},
    digits=4,
    transfers=1,
    silence_prompts=1,
    usage=UsageTotals(total_tokens=5, text_in=5),
    cost_nano_usd=20_000,
)
EVENTS: tuple[CallEvent, ...] = (
    CallStarted("sess_1", caller="+14155550123", resumed=False),
    TranscriptSaid(Speaker.CALLER, "my secret", item_id="item_1"),
    ToolCalled("book", "ok", 120, arguments='{"name": "my secret"}'),
    Interrupted(heard_ms=860),
    SilencePrompted(),
    Dtmf(count=4),
    TransferRequested("sales", TransferKind.NUMBER, summary="my secret"),
    TransferEnded("no-answer"),
    ENDED,
)


def stamps(first_number: int = 1) -> CallStamps:
    return CallStamps(
        "CA1",
        "clinic",
        started_unix_s=1_800_000_000.0,
        started_at=50.0,
        first_number=first_number,
    )


def test_events_are_numbered_and_timed_in_their_call() -> None:
    call = stamps()
    first = call.stamp(Dtmf(count=2), now=50.0)
    second = call.stamp(Interrupted(heard_ms=1), now=51.5)
    assert (first.event_id, first.offset_ms, first.at) == ("CA1:1", 0, 1.8e9)
    assert (second.event_id, second.offset_ms, second.at) == (
        "CA1:2",
        1500,
        1_800_000_001.5,
    )
    assert (second.call_sid, second.profile, second.heard_ms) == ("CA1", "clinic", 1)


def test_a_moment_before_the_call_is_its_beginning() -> None:
    assert stamps().stamp(SilencePrompted(), now=49.0).offset_ms == 0


def test_numbers_go_on_where_another_agent_may_have_got_to() -> None:
    event = stamps(first_number=1001).stamp(SilencePrompted(), now=50.0)
    assert event.event_id == "CA1:1001"


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_is_one_flat_json_object_and_comes_back_equal(
    event: CallEvent,
) -> None:
    stamped = stamps().stamp(event, now=50.25)
    wire = encode_event(stamped)
    said = json.loads(wire)
    assert said["event_id"] == "CA1:1"
    assert said["offset_ms"] == 250
    assert isinstance(said["type"], str)
    decoded: CallEvent = msgspec.json.decode(wire, type=CallEvent)
    assert decoded == stamped


def test_types_on_the_wire_are_what_readers_rely_on() -> None:
    assert [json.loads(encode_event(event))["type"] for event in EVENTS] == [
        "call_started",
        "transcript",
        "tool_called",
        "interrupted",
        "silence_prompted",
        "dtmf",
        "transfer_requested",
        "transfer_ended",
        "call_ended",
    ]


@pytest.mark.parametrize("event", EVENTS)
def test_a_repr_shows_nothing_personal(event: CallEvent) -> None:
    stamped = stamps().stamp(event, now=50.0)
    assert repr(stamped) == f"{type(event).__name__}(event_id='CA1:1')"


def test_without_words_nothing_is_left_of_what_was_said() -> None:
    told = [without_words(event) for event in EVENTS]
    kept = [event for event in told if event is not None]
    assert len(kept) == len(EVENTS) - 1
    wire = b"".join(encode_event(event) for event in kept)
    assert b"secret" not in wire
    assert ENDED in kept
    assert EVENTS[0] in kept
