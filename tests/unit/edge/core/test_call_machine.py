"""The life of one call, as scripts with literal times."""

import itertools

import pytest

from backhaul.core.messages import CloseReason
from edge.core.call_events import (
    CallAction,
    CallCompleted,
    CallEnded,
    CallEvent,
    CallState,
    CallStateChanged,
    ChannelClosed,
    CloseChannel,
    CloseStream,
    HandedOver,
    OpenChannel,
    PlayGreeting,
    Recalled,
    ReleaseLease,
    Resumed,
    SentAway,
    StreamLost,
    StreamStarted,
    StreamStopped,
    TellReturned,
)
from edge.core.call_machine import TRANSITIONS, CallConfig, CallMachine

CONFIG = CallConfig(
    token_ttl_s=30.0,
    reconnect_timeout_s=10.0,
    away_timeout_s=20.0,
    max_reconnects=1,
)
LOST = CloseReason.SESSION_LOST
EVENTS: list[CallEvent] = [
    StreamStarted(),
    StreamStopped(),
    StreamLost(CloseReason.MEDIA_STREAM_LOST),
    ChannelClosed(LOST),
    Resumed(),
    SentAway(takes_s=30.0),
    Recalled("busy", takes_s=0.0),
    HandedOver(),
    CallCompleted(),
]


def play(*events: tuple[float, CallEvent]) -> tuple[CallMachine, list[CallAction]]:
    machine = CallMachine(CONFIG, now=0.0)
    actions: list[CallAction] = []
    for now, event in events:
        actions += machine.handle(event, now=now)
    return machine, [a for a in actions if not isinstance(a, CallStateChanged)]


def test_an_ordinary_call() -> None:
    machine, actions = play((1.0, StreamStarted()), (9.0, StreamStopped()))
    assert actions == [
        PlayGreeting(),
        OpenChannel(resumed=False),
        CloseChannel(CloseReason.CALLER_HUNG_UP),
        CloseStream(),
        CallEnded(CloseReason.CALLER_HUNG_UP),
    ]
    assert machine.next_deadline() is None
    assert machine.end_reason is CloseReason.CALLER_HUNG_UP


def test_a_lost_session_is_resumed_once_without_a_second_greeting() -> None:
    machine, actions = play(
        (1.0, StreamStarted()),
        (2.0, ChannelClosed(LOST)),
        (3.0, Resumed()),
        (4.0, StreamStarted()),
    )
    assert actions == [
        PlayGreeting(),
        OpenChannel(resumed=False),
        CloseChannel(LOST),
        CloseStream(),
        OpenChannel(resumed=True),
    ]
    machine.handle(ChannelClosed(LOST), now=5.0)
    assert machine.state is CallState.RECONNECTING
    assert not machine.may_resume


@pytest.mark.parametrize(
    "reason",
    [CloseReason.MODEL_HUNG_UP, CloseReason.SILENCE, CloseReason.MAX_DURATION],
)
def test_an_agent_that_hangs_up_ends_the_call(reason: CloseReason) -> None:
    machine, actions = play((1.0, StreamStarted()), (2.0, ChannelClosed(reason)))
    assert actions[-2:] == [CloseStream(), CallEnded(reason)]
    assert not machine.may_resume


def test_a_caller_who_comes_back_goes_on_with_the_same_channel() -> None:
    machine, actions = play((1.0, StreamStarted()), (2.0, SentAway(takes_s=30.0)))
    assert actions[2:] == [CloseStream()]
    assert machine.next_deadline() == 52.0
    assert machine.handle(Recalled("busy", takes_s=3.0), now=10.0) == ()
    assert machine.streams == 2
    assert machine.next_deadline() == 43.0
    back = machine.handle(StreamStarted(), now=11.0)
    assert back[1:] == (TellReturned("busy"),)
    assert machine.state is CallState.BRIDGED
    assert machine.next_deadline() is None


def test_coming_back_does_not_use_up_the_reconnects() -> None:
    machine, _ = play(
        (1.0, StreamStarted()),
        (2.0, SentAway(takes_s=0.0)),
        (3.0, Recalled("sent", takes_s=0.0)),
        (4.0, StreamStarted()),
        (5.0, ChannelClosed(LOST)),
    )
    assert machine.may_resume
    machine.handle(Resumed(), now=6.0)
    assert machine.streams == 3
    assert machine.handle(StreamStarted(), now=7.0)[1:] == (OpenChannel(resumed=True),)


def test_a_caller_who_is_handed_over_needs_no_channel() -> None:
    machine, actions = play(
        (1.0, StreamStarted()), (2.0, SentAway(takes_s=30.0)), (9.0, HandedOver())
    )
    assert actions[-3:] == [
        CloseChannel(CloseReason.TRANSFERRED),
        CloseStream(),
        CallEnded(CloseReason.TRANSFERRED),
    ]
    assert machine.end_reason is CloseReason.TRANSFERRED


def test_a_caller_who_never_comes_back_is_given_up() -> None:
    machine, _ = play((1.0, StreamStarted()), (2.0, SentAway(takes_s=30.0)))
    assert machine.expire(now=51.9) == ()
    assert machine.expire(now=52.0)[1:] == (
        CloseChannel(CloseReason.MEDIA_STREAM_LOST),
        CloseStream(),
        CallEnded(CloseReason.MEDIA_STREAM_LOST),
    )


def test_a_channel_lost_while_away_is_replaced_when_the_caller_is_back() -> None:
    machine, actions = play(
        (1.0, StreamStarted()),
        (2.0, SentAway(takes_s=30.0)),
        (5.0, ChannelClosed(CloseReason.LINK_LOST)),
    )
    assert actions[-2:] == [CloseChannel(CloseReason.LINK_LOST), CloseStream()]
    assert machine.next_deadline() == 52.0  # the other party may still be ringing
    assert machine.may_resume
    assert machine.handle(Recalled("busy", takes_s=0.0), now=6.0) == ()
    assert machine.streams == 1


def test_a_channel_lost_late_leaves_time_to_come_back() -> None:
    machine, _ = play(
        (1.0, StreamStarted()),
        (2.0, SentAway(takes_s=0.0)),
        (21.0, ChannelClosed(CloseReason.LINK_LOST)),
    )
    assert machine.next_deadline() == 31.0


def test_a_call_that_never_starts_gives_its_lease_back() -> None:
    machine, _ = play()
    assert machine.next_deadline() == 30.0
    assert machine.expire(now=29.9) == ()
    actions = machine.expire(now=30.0)
    assert actions[1:] == (
        ReleaseLease(),
        CloseStream(),
        CallEnded(CloseReason.NEVER_STARTED),
    )


def test_a_reconnect_that_never_comes_ends_with_the_failure() -> None:
    machine, _ = play((1.0, StreamStarted()), (2.0, ChannelClosed(LOST)))
    assert machine.next_deadline() == 12.0
    assert machine.expire(now=12.0)[1:] == (CloseStream(), CallEnded(LOST))


def test_a_refused_first_stream_gives_its_lease_back() -> None:
    machine, actions = play((1.0, StreamLost(CloseReason.MEDIA_STREAM_INVALID)))
    assert actions == [ReleaseLease(), CloseStream()]
    assert machine.may_resume


def test_the_table_is_total() -> None:
    kinds = [type(event) for event in EVENTS]
    assert set(TRANSITIONS) == set(itertools.product(CallState, kinds))


@pytest.mark.parametrize("event", EVENTS)
def test_an_ended_call_stays_ended(event: CallEvent) -> None:
    machine, _ = play((1.0, CallCompleted()))
    assert machine.state is CallState.ENDED
    assert machine.handle(event, now=2.0) == ()
    assert machine.expire(now=1000.0) == ()
