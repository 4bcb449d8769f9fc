"""The life of one call, as scripts with literal times."""

import itertools

import pytest

from backhaul.core.messages import CloseReason
from edge.core.call_machine import (
    TRANSITIONS,
    CallAction,
    CallCompleted,
    CallConfig,
    CallEnded,
    CallEvent,
    CallMachine,
    CallState,
    CallStateChanged,
    ChannelClosed,
    CloseChannel,
    CloseStream,
    OpenChannel,
    PlayGreeting,
    ReleaseLease,
    Resumed,
    StreamLost,
    StreamStarted,
    StreamStopped,
)

CONFIG = CallConfig(token_ttl_s=30.0, reconnect_timeout_s=10.0, max_streams=2)
LOST = CloseReason.SESSION_LOST
EVENTS: list[CallEvent] = [
    StreamStarted(),
    StreamStopped(),
    StreamLost(CloseReason.MEDIA_STREAM_LOST),
    ChannelClosed(LOST),
    Resumed(),
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


def test_a_model_that_hangs_up_ends_the_call() -> None:
    machine, actions = play(
        (1.0, StreamStarted()), (2.0, ChannelClosed(CloseReason.MODEL_HUNG_UP))
    )
    assert actions[-2:] == [CloseStream(), CallEnded(CloseReason.MODEL_HUNG_UP)]
    assert not machine.may_resume


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
