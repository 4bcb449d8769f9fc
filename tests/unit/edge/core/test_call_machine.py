"""The life of one call, as scripts with literal times."""

import itertools

import pytest

from backhaul.core.messages import CloseReason, HandoverReason
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
    FindSession,
    GivenUp,
    HandedOver,
    HoldCaller,
    MoveWanted,
    OpenChannel,
    PlayGreeting,
    PlayScript,
    Recalled,
    ReleaseLease,
    Resumed,
    ScriptGiven,
    ScriptPlayed,
    SentAway,
    SessionFound,
    SessionNotFound,
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
    hold_limit_s=15.0,
    script_limit_s=25.0,
    max_reconnects=1,
    moves_at_once=2,
    move_every_s=60.0,
    max_moves=4,
)
LOST = CloseReason.SESSION_LOST
GONE = StreamLost(CloseReason.MEDIA_STREAM_LOST)
EVENTS: list[CallEvent] = [
    StreamStarted(),
    StreamStopped(),
    StreamLost(CloseReason.MEDIA_STREAM_LOST),
    ChannelClosed(LOST),
    SessionFound(),
    SessionNotFound(),
    MoveWanted(),
    ScriptGiven(heard_at=5.0),
    ScriptPlayed(),
    GivenUp(),
    Resumed(),
    SentAway(takes_s=30.0),
    Recalled("busy", takes_s=0.0),
    HandedOver(),
    CallCompleted(),
]


def play(
    *events: tuple[float, CallEvent], leased: bool = True
) -> tuple[CallMachine, list[CallAction]]:
    machine = CallMachine(CONFIG, leased=leased, now=0.0)
    actions: list[CallAction] = []
    for now, event in events:
        actions += machine.handle(event, now=now)
    return machine, [a for a in actions if not isinstance(a, CallStateChanged)]


def test_an_ordinary_call() -> None:
    machine, actions = play((1.0, StreamStarted()), (9.0, StreamStopped()))
    assert actions == [
        PlayGreeting(),
        OpenChannel(),
        CloseChannel(CloseReason.CALLER_HUNG_UP),
        CloseStream(),
        CallEnded(CloseReason.CALLER_HUNG_UP),
    ]
    assert machine.next_deadline() is None
    assert machine.end_reason is CloseReason.CALLER_HUNG_UP


def test_a_lost_stream_is_resumed_once_without_a_second_greeting() -> None:
    machine, actions = play(
        (1.0, StreamStarted()),
        (2.0, GONE),
        (3.0, Resumed()),
        (3.0, SessionFound()),
        (4.0, StreamStarted()),
    )
    assert actions == [
        PlayGreeting(),
        OpenChannel(),
        CloseChannel(CloseReason.MEDIA_STREAM_LOST),
        CloseStream(),
        OpenChannel(),
    ]
    machine.handle(GONE, now=5.0)
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
        (5.0, GONE),
    )
    assert machine.may_resume
    machine.handle(Resumed(), now=6.0)
    machine.handle(SessionFound(), now=6.0)
    assert machine.streams == 3
    assert machine.handle(StreamStarted(), now=7.0)[1:] == (OpenChannel(),)


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
    machine, _ = play((1.0, StreamStarted()), (2.0, GONE))
    assert machine.next_deadline() == 12.0
    assert machine.expire(now=12.0)[1:] == (CloseStream(), CallEnded(GONE.reason))


def test_a_refused_first_stream_gives_its_lease_back() -> None:
    machine, actions = play((1.0, StreamLost(CloseReason.MEDIA_STREAM_INVALID)))
    assert actions == [ReleaseLease(), CloseStream()]
    assert machine.may_resume


def test_a_session_that_is_found_before_the_stream_starts_is_no_different() -> None:
    machine, actions = play((0.3, SessionFound()), (1.0, StreamStarted()), leased=False)
    assert actions == [PlayGreeting(), OpenChannel()]
    assert machine.state is CallState.BRIDGED


def test_who_waits_for_a_session_is_held() -> None:
    machine, actions = play((1.0, StreamStarted()), leased=False)
    assert machine.state is CallState.HOLDING
    assert actions == [PlayGreeting(), HoldCaller()]
    assert machine.next_deadline() == 16.0
    assert machine.handle(SessionFound(), now=1.4)[1:] == (OpenChannel(),)
    assert machine.next_deadline() is None


def test_who_hangs_up_on_hold_leaves_nothing_behind() -> None:
    _, actions = play((1.0, StreamStarted()), (2.0, StreamStopped()), leased=False)
    assert actions[2:] == [CloseStream(), CallEnded(CloseReason.CALLER_HUNG_UP)]


def test_without_a_session_the_caller_hears_the_script() -> None:
    machine, actions = play(
        (1.0, StreamStarted()), (9.0, SessionNotFound()), leased=False
    )
    assert machine.state is CallState.FALLBACK
    assert actions[2:] == [PlayScript()]
    assert machine.handle(ScriptPlayed(), now=14.0)[1:] == (CloseStream(),)
    assert machine.fell_back
    assert not machine.may_resume
    assert machine.handle(GivenUp(), now=14.1)[1:] == (
        CloseStream(),
        CallEnded(CloseReason.MODEL_UNAVAILABLE),
    )


def test_what_fails_before_the_stream_starts_leads_to_the_script_at_once() -> None:
    machine, actions = play(
        (0.2, SessionNotFound()), (1.0, StreamStarted()), leased=False
    )
    assert machine.state is CallState.FALLBACK
    assert actions == [PlayScript()]


def test_the_script_has_as_long_as_it_and_what_is_queued_before_it_last() -> None:
    machine, _ = play((1.0, StreamStarted()), (9.0, SessionNotFound()), leased=False)
    assert machine.handle(ScriptGiven(heard_at=49.0), now=9.0) == ()
    assert machine.expire(now=73.9) == ()
    assert machine.expire(now=74.0)[1:] == (CloseStream(),)


def test_a_script_that_was_told_of_late_has_its_time_from_then_on() -> None:
    machine, _ = play((1.0, StreamStarted()), (9.0, SessionNotFound()), leased=False)
    machine.handle(ScriptGiven(heard_at=10.0), now=20.0)
    assert machine.next_deadline() == 20.0 + CONFIG.script_limit_s


def test_a_script_that_comes_too_late_changes_nothing() -> None:
    machine, _ = play((1.0, StreamStarted()), (9.0, SessionNotFound()), leased=False)
    machine.handle(ScriptPlayed(), now=14.0)
    before = machine.next_deadline()
    assert machine.handle(ScriptGiven(heard_at=54.0), now=14.0) == ()
    assert machine.next_deadline() == before


def test_a_human_may_take_over_after_the_script() -> None:
    machine, actions = play(
        (0.2, SessionNotFound()),
        (1.0, StreamStarted()),
        (5.0, ScriptPlayed()),
        (5.2, HandedOver()),
        leased=False,
    )
    assert machine.end_reason is CloseReason.TRANSFERRED
    assert actions[-1] == CallEnded(CloseReason.TRANSFERRED)


def test_a_search_that_never_ends_leads_to_the_script() -> None:
    machine, _ = play((1.0, StreamStarted()), leased=False)
    assert machine.expire(now=15.9) == ()
    assert machine.expire(now=16.0)[1:] == (PlayScript(),)
    assert machine.next_deadline() == 41.0


def test_a_script_that_is_never_played_out_ends_as_if_it_were() -> None:
    machine, _ = play((1.0, StreamStarted()), (2.0, SessionNotFound()), leased=False)
    assert machine.expire(now=27.0)[1:] == (CloseStream(),)
    assert machine.state is CallState.RECONNECTING
    assert machine.next_deadline() == 37.0


def test_a_lost_session_is_replaced_on_the_same_stream() -> None:
    machine, actions = play((1.0, StreamStarted()), (1.2, ChannelClosed(LOST)))
    assert machine.state.value == "holding"
    assert actions[2:] == [CloseChannel(LOST), FindSession(), HoldCaller()]
    assert (machine.streams, machine.moves) == (1, 1)
    assert machine.next_deadline() == 16.2
    assert machine.handle(SessionFound(), now=1.5)[1:] == (OpenChannel(),)
    assert machine.state is CallState.BRIDGED


def test_a_call_moves_a_few_times_then_once_a_minute_and_not_for_ever() -> None:
    machine, _ = play((0.0, StreamStarted()))

    def lose(now: float) -> CallState:
        machine.handle(ChannelClosed(LOST), now=now)
        state = machine.state
        machine.handle(SessionFound(), now=now)
        return state

    assert [lose(at) for at in (1.0, 2.0, 63.0, 123.0)] == [CallState.HOLDING] * 4
    assert machine.handle(ChannelClosed(LOST), now=900.0)[1:] == (
        CloseChannel(LOST),
        PlayScript(),
    )
    assert machine.state is CallState.FALLBACK


def test_too_many_losses_in_a_minute_lead_to_the_script() -> None:
    machine, actions = play(
        (0.0, StreamStarted()),
        (1.0, ChannelClosed(LOST)),
        (1.0, SessionFound()),
        (2.0, ChannelClosed(LOST)),
        (2.0, SessionFound()),
        (30.0, ChannelClosed(LOST)),
    )
    assert machine.state is CallState.FALLBACK
    assert actions[-2:] == [CloseChannel(LOST), PlayScript()]


def test_a_call_is_moved_without_a_gap() -> None:
    machine, actions = play((1.0, StreamStarted()), (2.0, MoveWanted()))
    assert machine.state is CallState.MOVING
    assert actions[2:] == [FindSession()]
    assert machine.next_deadline() == 17.0
    assert machine.handle(SessionFound(), now=2.5) == (
        CallStateChanged(CallState.MOVING, CallState.BRIDGED, "session_found"),
        CloseChannel(CloseReason.HANDED_OVER),
        OpenChannel(),
    )
    assert machine.next_deadline() is None


@pytest.mark.parametrize("found", [SessionNotFound(), None])
def test_a_call_that_nobody_else_can_take_stays(found: CallEvent | None) -> None:
    machine, _ = play((1.0, StreamStarted()), (2.0, MoveWanted()))
    done = machine.handle(found, now=3.0) if found else machine.expire(now=17.0)
    assert machine.state is CallState.BRIDGED
    assert done[1:] == ()


def test_a_session_that_is_lost_while_its_call_moves_is_not_searched_twice() -> None:
    machine, actions = play(
        (1.0, StreamStarted()), (2.0, MoveWanted()), (2.1, ChannelClosed(LOST))
    )
    assert actions[2:] == [FindSession(), CloseChannel(LOST), HoldCaller()]
    assert machine.handle(SessionFound(), now=2.2)[1:] == (OpenChannel(),)


def test_a_call_that_may_not_move_stays_where_it_is() -> None:
    machine, _ = play(
        (1.0, StreamStarted()), (2.0, MoveWanted()), (2.5, SessionFound())
    )
    assert machine.handle(MoveWanted(), now=61.9) == ()
    assert machine.state is CallState.BRIDGED


def test_an_agent_that_goes_may_have_its_calls_moved_sooner() -> None:
    asked = HandoverReason.DRAINING
    machine, actions = play(
        (1.0, StreamStarted()), (2.0, MoveWanted()), (2.5, SessionFound())
    )
    assert machine.handle(MoveWanted(asked), now=6.9) == ()
    assert machine.handle(MoveWanted(asked), now=7.0) == (
        CallStateChanged(CallState.BRIDGED, CallState.MOVING, "draining"),
        FindSession(asked),
    )
    assert actions[2] == FindSession(None)


def test_a_caller_who_waits_in_vain_is_moved_soon_after_a_loss_and_never_lost() -> None:
    silent = HandoverReason.MODEL_SILENT
    machine, _ = play(
        (1.0, StreamStarted()), (2.0, ChannelClosed(LOST)), (2.5, SessionFound())
    )
    assert machine.handle(MoveWanted(silent), now=13.0) == (
        CallStateChanged(CallState.BRIDGED, CallState.MOVING, "model_silent"),
        FindSession(silent),
    )
    machine.handle(SessionFound(), now=13.1)
    for now in (14.0, 15.0, 16.0):
        machine.handle(MoveWanted(silent), now=now)
        machine.handle(SessionFound(), now=now)
        assert machine.state is CallState.BRIDGED
    assert machine.moves == 2


def test_a_caller_who_is_not_heard_is_moved_twice() -> None:
    machine, _ = play((1.0, StreamStarted()))
    deaf = MoveWanted(HandoverReason.MODEL_DEAF)
    assert machine.handle(deaf, now=13.0) == (
        CallStateChanged(CallState.BRIDGED, CallState.MOVING, "model_deaf"),
        FindSession(HandoverReason.MODEL_DEAF),
    )
    machine.handle(SessionFound(), now=13.1)
    machine.handle(deaf, now=30.0)
    machine.handle(SessionFound(), now=30.1)
    assert machine.handle(deaf, now=200.0) == ()
    assert machine.moves == 2


def test_a_call_that_moves_already_is_not_moved_twice() -> None:
    machine, _ = play((1.0, StreamStarted()), (2.0, MoveWanted()))
    asked = MoveWanted(HandoverReason.SESSION_EXPIRING)
    assert machine.handle(asked, now=20.0) == ()
    assert machine.moves == 1


def test_a_stream_that_is_lost_on_hold_may_be_resumed() -> None:
    machine, actions = play((1.0, StreamStarted()), (2.0, GONE), leased=False)
    assert actions[2:] == [CloseStream()]
    assert machine.may_resume
    machine.handle(Resumed(), now=3.0)
    assert machine.state is CallState.SEARCHING
    assert machine.next_deadline() == 33.0
    assert machine.handle(StreamStarted(), now=4.0)[1:] == (HoldCaller(),)


def test_the_table_is_total() -> None:
    kinds = [type(event) for event in EVENTS]
    assert set(TRANSITIONS) == set(itertools.product(CallState, kinds))


@pytest.mark.parametrize("event", EVENTS)
def test_an_ended_call_stays_ended(event: CallEvent) -> None:
    machine, _ = play((1.0, CallCompleted()))
    assert machine.state is CallState.ENDED
    assert machine.handle(event, now=2.0) == ()
    assert machine.expire(now=1000.0) == ()
