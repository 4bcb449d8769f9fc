"""The link machine: whatever a peer says, and however late the timer comes."""

from hypothesis import given, settings
from hypothesis import strategies as st

from backhaul.core.link import (
    CloseTransport,
    LinkAction,
    LinkConfig,
    LinkEvent,
    LinkMachine,
    LinkState,
    LinkStateChanged,
    MessageReceived,
    SendHeartbeat,
    SendMessage,
    TransportClosed,
    TransportOpened,
)
from backhaul.core.messages import (
    PROTOCOL_VERSION,
    Heartbeat,
    HeartbeatReply,
    Hello,
    Message,
    Stock,
)

CONFIG = LinkConfig(
    hello_timeout_s=5.0, heartbeat_interval_s=0.25, heartbeat_timeout_s=1.0
)
BEGAN_AT = 1000.0
OURS = Hello(PROTOCOL_VERSION, name="edge-1")
THEIRS = Hello(PROTOCOL_VERSION, name="home-1", region="home")

said: st.SearchStrategy[Message] = st.one_of(
    st.just(THEIRS),
    st.just(Hello(PROTOCOL_VERSION + 1, name="newer")),
    st.builds(Heartbeat, st.integers(0, 9)),
    st.builds(HeartbeatReply, st.integers(), st.integers(0, 9)),
    st.builds(HeartbeatReply, st.integers(0, 9), st.integers(0, 9)),
    st.just(Stock()),
)
events: st.SearchStrategy[LinkEvent | None] = st.one_of(
    st.just(TransportOpened()),
    st.builds(MessageReceived, said),
    st.just(MessageReceived(THEIRS)),
    st.just(TransportClosed("reset")),
    st.none(),
    st.none(),
)
"""None: nothing happens but that time passes."""
# Steps of 1/64 s are exact in binary, so that times can be compared.
waits = st.sampled_from([0, 1, 8, 16, 17, 40, 64, 640]).map(lambda n: n / 64)
histories = st.lists(st.tuples(waits, events, st.booleans()), max_size=40)


class World:
    """A link, and all it ever did."""

    def __init__(self) -> None:
        self.now = BEGAN_AT
        self.link = LinkMachine(hello=OURS, config=CONFIG, now=self.now)
        self.changes: list[tuple[LinkState, LinkState]] = []
        self.closed_transport = 0

    def live(self, wait_s: float, event: LinkEvent | None, *, timer: bool) -> None:
        self.now += wait_s
        if timer:
            self.expire()
        if event is not None:
            self.perform(self.link.handle(event, now=self.now))

    def expire(self) -> None:
        deadline = self.link.next_deadline()
        early = deadline is None or self.now < deadline
        actions = self.link.expire(now=self.now)
        assert not (early and actions)
        self.perform(actions)
        again = self.link.next_deadline()
        assert again is None or again > self.now

    def perform(self, actions: tuple[LinkAction, ...]) -> None:
        was_closed = bool(self.changes) and self.changes[-1][1] is LinkState.CLOSED
        assert not (was_closed and actions)
        for action in actions:
            match action:
                case LinkStateChanged(old, new):
                    self.changes.append((old, new))
                case CloseTransport():
                    self.closed_transport += 1
                case SendMessage(message):
                    assert self.link.state is LinkState.READY or message is OURS
        self.check()

    def check(self) -> None:
        state = self.link.state
        path = [LinkState.CONNECTING, *(new for _, new in self.changes)]
        assert path[-1] is state
        assert [old for old, _ in self.changes] == path[:-1]
        assert path.count(LinkState.READY) <= 1
        assert path.count(LinkState.CLOSED) <= 1
        assert self.closed_transport <= path.count(LinkState.CLOSED)
        assert (self.link.next_deadline() is None) == (state is LinkState.CLOSED)
        assert (self.link.peer is not None) == (LinkState.READY in path)
        rtt_s = self.link.rtt.smoothed_rtt_s
        assert rtt_s is None or 0 <= rtt_s <= self.now - BEGAN_AT
        since = self.link.unanswered_since
        assert since is None or BEGAN_AT <= since <= self.now


@settings(deadline=None)
@given(histories)
def test_a_link_is_ready_once_and_closed_for_good(
    history: list[tuple[float, LinkEvent | None, bool]],
) -> None:
    world = World()
    for wait_s, event, timer in history:
        world.live(wait_s, event, timer=timer)


@settings(deadline=None)
@given(histories)
def test_a_peer_that_falls_silent_is_given_up_in_time(
    history: list[tuple[float, LinkEvent | None, bool]],
) -> None:
    world = World()
    for wait_s, event, timer in history:
        world.live(wait_s, event, timer=timer)
    world.expire()
    silent_since = world.now
    while (deadline := world.link.next_deadline()) is not None:
        world.now = max(world.now, deadline)
        world.expire()
        # Our own loop may have stood still before; no longer than the history did.
        assert world.now - silent_since <= CONFIG.hello_timeout_s + 40 * 10


@settings(deadline=None)
@given(st.integers(1, 40))
def test_a_peer_that_answers_every_heartbeat_is_never_given_up(beats: int) -> None:
    world = World()
    world.live(0.0, TransportOpened(), timer=False)
    world.live(0.0, MessageReceived(THEIRS), timer=False)
    for number in range(1, beats + 1):
        deadline = world.link.next_deadline()
        assert deadline is not None
        world.now = max(world.now, deadline)
        actions = world.link.expire(now=world.now)
        assert actions == (SendHeartbeat(number, world.now),)
        reply = HeartbeatReply(number, number)
        world.live(0.125, MessageReceived(reply), timer=False)
    assert world.link.state is LinkState.READY
    assert world.link.rtt.smoothed_rtt_s == 0.125
