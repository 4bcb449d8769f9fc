"""The call machine: whatever happens, nothing is used twice and nothing is lost."""

from hypothesis import given, settings
from hypothesis import strategies as st

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
from edge.core.call_machine import CallConfig, CallMachine

reasons = st.sampled_from(CloseReason)
events: st.SearchStrategy[CallEvent | None] = st.one_of(
    st.builds(StreamStarted),
    st.builds(StreamStopped),
    st.builds(StreamLost, reasons),
    st.builds(ChannelClosed, reasons),
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
    max_reconnects=st.integers(0, 2),
)


class World:
    """What the machine was given and what it did with it."""

    def __init__(self, config: CallConfig) -> None:
        self.config = config
        self.machine = CallMachine(config, now=0.0)
        self.now = 0.0
        self.leases = 1
        self.leases_gone = 0
        self.opened = 0
        self.channel_open = False
        self.greetings = 0
        self.recalls = 0
        self.ended = 0

    def live(self, wait_s: float, event: CallEvent | None) -> None:
        self.now += wait_s
        self.perform(self.machine.expire(now=self.now))
        if isinstance(event, Resumed):
            self.leases += self.machine.may_resume
        if isinstance(event, Recalled):
            self.recalls += self.machine.state is CallState.AWAY
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
            case _:
                self.note_at_agent(action)

    def note_at_agent(
        self,
        action: PlayGreeting | OpenChannel | TellReturned | CloseChannel | ReleaseLease,
    ) -> None:
        match action:
            case OpenChannel(resumed):
                assert not self.channel_open
                assert resumed == (self.opened + self.leases_gone > 0)
                self.channel_open = True
                self.opened += 1
                self.leases_gone += 1
            case CloseChannel():
                assert self.channel_open
                self.channel_open = False
            case ReleaseLease():
                self.leases_gone += 1
            case PlayGreeting():
                self.greetings += 1
            case TellReturned():
                assert self.channel_open

    def check(self) -> None:
        state = self.machine.state
        assert self.leases_gone <= self.leases
        assert self.opened <= self.leases <= 1 + self.config.max_reconnects
        assert self.machine.streams == self.leases + self.recalls
        assert self.greetings <= 1
        assert self.channel_open == (state in {CallState.BRIDGED, CallState.AWAY})
        held = self.leases - self.leases_gone
        assert held == (1 if state is CallState.RINGING else 0)
        assert self.ended == (state is CallState.ENDED)
        deadline = self.machine.next_deadline()
        waits = state not in {CallState.BRIDGED, CallState.ENDED}
        assert (deadline is not None) == waits
        if deadline is not None:
            assert deadline > self.now


@settings(deadline=None)
@given(configs, histories)
def test_nothing_is_used_twice_and_nothing_is_lost(
    config: CallConfig, history: list[tuple[float, CallEvent | None]]
) -> None:
    world = World(config)
    for wait_s, event in history:
        world.live(wait_s, event)


@settings(deadline=None)
@given(configs, histories)
def test_every_call_ends_when_twilio_says_so(
    config: CallConfig, history: list[tuple[float, CallEvent | None]]
) -> None:
    world = World(config)
    for wait_s, event in history:
        world.live(wait_s, event)
    world.live(0.0, CallCompleted())
    assert world.machine.state is CallState.ENDED
    assert world.ended == 1
    assert world.leases_gone == world.leases
    assert not world.channel_open


@settings(deadline=None)
@given(configs, histories)
def test_a_call_that_nobody_talks_on_ends_by_itself(
    config: CallConfig, history: list[tuple[float, CallEvent | None]]
) -> None:
    world = World(config)
    for wait_s, event in history:
        world.live(wait_s, event)
    world.live(0.0, StreamLost(CloseReason.MEDIA_STREAM_LOST))
    world.live(60.0, None)  # longer than any of its timeouts
    assert world.machine.state is CallState.ENDED


@settings(deadline=None)
@given(configs, histories, st.floats(0.0, 1.0, exclude_max=True))
def test_an_early_timer_does_nothing(
    config: CallConfig,
    history: list[tuple[float, CallEvent | None]],
    part: float,
) -> None:
    world = World(config)
    for wait_s, event in history:
        world.live(wait_s, event)
    deadline, state = world.machine.next_deadline(), world.machine.state
    early = world.now if deadline is None else part * deadline
    assert world.machine.expire(now=early) == ()
    assert (world.machine.next_deadline(), world.machine.state) == (deadline, state)
