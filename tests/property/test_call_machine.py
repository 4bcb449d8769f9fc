"""The call machine: whatever happens, nothing is used twice and nothing is lost."""

from hypothesis import given, settings
from hypothesis import strategies as st

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
from edge.core.call_machine import CallConfig, CallMachine

reasons = st.sampled_from(CloseReason)
events: st.SearchStrategy[CallEvent | None] = st.one_of(
    st.builds(StreamStarted),
    st.builds(StreamStopped),
    st.builds(StreamLost, reasons),
    st.builds(ChannelClosed, reasons),
    st.builds(MoveWanted, st.none() | st.sampled_from(HandoverReason)),
    st.builds(SessionFound),
    st.builds(SessionNotFound),
    st.builds(ScriptGiven, st.sampled_from([1.0, 100.0])),
    st.builds(ScriptPlayed),
    st.builds(GivenUp),
    st.builds(Resumed),
    st.builds(SentAway, st.sampled_from([0.0, 5.0])),
    st.builds(Recalled, st.sampled_from(["sent", "busy"]), st.sampled_from([0.0, 2.0])),
    st.builds(HandedOver),
    st.builds(CallCompleted),
    st.none(),
)
"""None: nothing happens but that time passes."""
histories = st.lists(st.tuples(st.sampled_from([0.0, 1.0, 9.0, 40.0]), events))
configs = st.builds(
    CallConfig,
    token_ttl_s=st.just(30.0),
    reconnect_timeout_s=st.just(10.0),
    away_timeout_s=st.just(20.0),
    hold_limit_s=st.just(15.0),
    script_limit_s=st.just(25.0),
    max_reconnects=st.integers(0, 2),
    moves_at_once=st.integers(1, 2),
    move_every_s=st.sampled_from([5.0, 60.0]),
    max_moves=st.integers(0, 4),
    handover_every_s=st.sampled_from([0.5, 5.0]),
)


WAITING = {CallState.SEARCHING, CallState.RINGING, CallState.UNPLACED}
WITH_CHANNEL = {CallState.BRIDGED, CallState.MOVING, CallState.AWAY}
AWAITING_SESSION = {CallState.SEARCHING, CallState.HOLDING, CallState.MOVING}
"""What `edge.call_session` tells the machine is found in these states only."""


class World:
    """What the machine was given and what it did with it."""

    def __init__(self, config: CallConfig, *, leased: bool) -> None:
        self.config = config
        self.machine = CallMachine(config, leased=leased, now=0.0)
        self.now = 0.0
        self.leases = int(leased)
        self.leases_gone = 0
        self.resumed = 0
        self.opened = 0
        self.moves = 0
        self.asked = 0
        self.last_move_at = -1e9
        self.lost_at: list[float] = []
        self.channel_open = False
        self.greetings = 0
        self.scripts = 0
        self.recalls = 0
        self.ended = 0

    def live(self, wait_s: float, event: CallEvent | None) -> None:
        self.now += wait_s
        self.perform(self.machine.expire(now=self.now))
        state = self.machine.state
        if isinstance(event, Resumed):
            self.resumed += self.machine.may_resume
        if isinstance(event, Recalled):
            self.recalls += state is CallState.AWAY
        if isinstance(event, SessionFound):
            self.leases += state in AWAITING_SESSION
        if event is not None:
            self.perform(self.machine.handle(event, now=self.now))

    def perform(self, actions: tuple[CallAction, ...]) -> None:
        for action in actions:
            assert not self.ended, "something was done after the end"
            self.note(action)
        self.check()

    def note(self, action: CallAction) -> None:
        match action:
            case CallStateChanged(old, new):
                assert old is not new
                assert old is not CallState.ENDED
            case CallEnded(reason):
                self.ended += 1
                assert reason is self.machine.end_reason
            case CloseStream():
                assert self.machine.state in {
                    CallState.AWAY,
                    CallState.RECONNECTING,
                    CallState.ENDED,
                }
            case PlayGreeting():
                self.greetings += 1
            case PlayScript():
                assert self.machine.state is CallState.FALLBACK
                self.scripts += 1
            case HoldCaller():
                assert self.machine.state is CallState.HOLDING
            case _:
                self.note_at_agent(action)

    def note_at_agent(
        self,
        action: OpenChannel | TellReturned | CloseChannel | ReleaseLease | FindSession,
    ) -> None:
        match action:
            case OpenChannel():
                assert not self.channel_open
                self.channel_open = True
                self.opened += 1
                self.leases_gone += 1
            case CloseChannel():
                assert self.channel_open
                self.channel_open = False
            case ReleaseLease():
                self.leases_gone += 1
            case FindSession(asked):
                moving = self.machine.state is CallState.MOVING
                assert self.channel_open == moving
                config = self.config
                every_s = config.handover_every_s if asked else config.move_every_s
                assert not moving or self.now - self.last_move_at >= every_s
                self.last_move_at = self.now
                self.moves += 1
                self.asked += asked is not None
                if not moving:
                    self.lost_at.append(self.now)
            case TellReturned():
                assert self.channel_open

    def check(self) -> None:
        state = self.machine.state
        assert self.leases_gone <= self.leases
        self.check_moves()
        assert self.resumed <= self.config.max_reconnects
        assert self.leases <= 1 + self.resumed + self.moves
        assert self.machine.streams == 1 + self.resumed + self.recalls
        assert self.greetings <= 1
        assert self.scripts <= 1
        assert self.machine.fell_back == (self.scripts == 1)
        assert self.channel_open == (state in WITH_CHANNEL)
        held = self.leases - self.leases_gone
        assert held == (1 if state is CallState.RINGING else 0)
        assert self.ended == (state is CallState.ENDED)
        deadline = self.machine.next_deadline()
        waits = state not in {CallState.BRIDGED, CallState.ENDED}
        assert (deadline is not None) == waits
        if deadline is not None:
            assert deadline > self.now

    def check_moves(self) -> None:
        config, at = self.config, self.lost_at
        assert self.moves - self.asked <= config.max_moves
        beyond = zip(at, at[config.moves_at_once :], strict=False)
        assert all(late - early >= config.move_every_s for early, late in beyond)


@settings(deadline=None)
@given(configs, st.booleans(), histories)
def test_nothing_is_used_twice_and_nothing_is_lost(
    config: CallConfig, leased: bool, history: list[tuple[float, CallEvent | None]]
) -> None:
    world = World(config, leased=leased)
    for wait_s, event in history:
        world.live(wait_s, event)


@settings(deadline=None)
@given(configs, st.booleans(), histories)
def test_every_call_ends_when_twilio_says_so(
    config: CallConfig, leased: bool, history: list[tuple[float, CallEvent | None]]
) -> None:
    world = World(config, leased=leased)
    for wait_s, event in history:
        world.live(wait_s, event)
    world.live(0.0, CallCompleted())
    assert world.machine.state is CallState.ENDED
    assert world.ended == 1
    assert world.leases_gone == world.leases
    assert not world.channel_open


@settings(deadline=None)
@given(configs, st.booleans(), histories)
def test_a_call_that_nobody_talks_on_ends_by_itself(
    config: CallConfig, leased: bool, history: list[tuple[float, CallEvent | None]]
) -> None:
    world = World(config, leased=leased)
    for wait_s, event in history:
        world.live(wait_s, event)
    world.live(0.0, StreamLost(CloseReason.MEDIA_STREAM_LOST))
    for _ in range(3):  # a hold, a script and a reconnect at most
        world.live(60.0, None)  # longer than any of its timeouts
    assert world.machine.state is CallState.ENDED


@settings(deadline=None)
@given(configs, st.booleans(), histories, st.floats(0.0, 1.0, exclude_max=True))
def test_an_early_timer_does_nothing(
    config: CallConfig,
    leased: bool,
    history: list[tuple[float, CallEvent | None]],
    part: float,
) -> None:
    world = World(config, leased=leased)
    for wait_s, event in history:
        world.live(wait_s, event)
    deadline, state = world.machine.next_deadline(), world.machine.state
    early = world.now if deadline is None else part * deadline
    assert world.machine.expire(now=early) == ()
    assert (world.machine.next_deadline(), world.machine.state) == (deadline, state)
