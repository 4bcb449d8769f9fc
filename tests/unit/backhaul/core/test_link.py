"""The life of one link, as scripts with literal times."""

import itertools

import pytest

from backhaul.core.link import (
    TRANSITIONS,
    CloseTransport,
    LinkAction,
    LinkConfig,
    LinkInput,
    LinkMachine,
    LinkState,
    LinkStateChanged,
    MessageReceived,
    SendHeartbeat,
    SendMessage,
    TransportClosed,
    TransportOpened,
    UseChanged,
)
from backhaul.core.messages import (
    PROTOCOL_VERSION,
    Heartbeat,
    HeartbeatReply,
    Hello,
    Receipt,
    Stock,
)

CONFIG = LinkConfig(
    hello_timeout_s=5.0, heartbeat_interval_s=0.25, heartbeat_timeout_s=1.0
)
OURS = Hello(version=PROTOCOL_VERSION, name="edge-1")
THEIRS = Hello(version=PROTOCOL_VERSION, name="agent-1", region="us-east")


def new_link() -> LinkMachine:
    return LinkMachine(hello=OURS, config=CONFIG, now=0.0)


def ready_link() -> LinkMachine:
    link = new_link()
    link.handle(TransportOpened(), now=0.5)
    link.handle(MessageReceived(THEIRS), now=1.0)
    link.handle(UseChanged(in_use=True), now=1.0)
    return link


def failed(reason: str, *, old: LinkState) -> tuple[LinkAction, ...]:
    changed = LinkStateChanged(old, LinkState.CLOSED, reason)
    return (changed, CloseTransport(reason))


def test_both_sides_say_hello_first() -> None:
    link = new_link()
    assert link.handle(TransportOpened(), now=0.5) == (SendMessage(OURS),)
    assert link.handle(MessageReceived(THEIRS), now=1.0) == (
        LinkStateChanged(LinkState.CONNECTING, LinkState.READY, "hello received"),
    )
    assert link.peer == THEIRS


def test_heartbeats_go_out_at_their_interval() -> None:
    link = ready_link()
    assert link.next_deadline() == 1.0
    assert link.expire(now=1.0) == (SendHeartbeat(1, 1.0),)
    assert link.expire(now=1.2) == ()
    assert link.expire(now=1.25) == (SendHeartbeat(2, 1.25),)


def test_a_link_that_nobody_uses_beats_seldom_and_at_once_when_it_is_used() -> None:
    link = ready_link()
    link.handle(UseChanged(in_use=False), now=1.0)
    assert link.expire(now=1.0) == (SendHeartbeat(1, 1.0),)
    assert link.next_deadline() == 1.5  # half of what makes it dead
    assert link.handle(UseChanged(in_use=True), now=1.1) == ()
    assert link.next_deadline() == 1.35
    assert link.handle(UseChanged(in_use=True), now=1.2) == ()
    assert link.next_deadline() == 1.35


@pytest.mark.parametrize(
    ("interval_s", "timeout_s", "idle_s"),
    [(0.25, 2.0, 1.0), (0.25, 8.0, 1.0), (0.05, 0.5, 0.2), (1.0, 2.0, 1.0), (3, 4, 3)],
)
def test_an_idle_link_is_never_taken_for_dead(
    interval_s: float, timeout_s: float, idle_s: float
) -> None:
    config = LinkConfig(heartbeat_interval_s=interval_s, heartbeat_timeout_s=timeout_s)
    assert config.idle_interval_s == pytest.approx(idle_s)


def test_a_heartbeat_is_answered_with_what_was_received() -> None:
    link = ready_link()
    link.handle(MessageReceived(Heartbeat(1)), now=1.1)
    actions = link.handle(MessageReceived(Heartbeat(3)), now=1.2)
    assert actions == (SendMessage(HeartbeatReply(3, received=2)),)


def test_replies_measure_the_round_trip() -> None:
    link = ready_link()
    link.expire(now=1.0)
    link.handle(MessageReceived(HeartbeatReply(1, 1)), now=1.08)
    assert link.rtt.smoothed_rtt_s == pytest.approx(0.08)
    link.expire(now=1.25)
    link.handle(MessageReceived(HeartbeatReply(2, 2)), now=1.49)
    assert link.rtt.smoothed_rtt_s == pytest.approx(0.1)


@pytest.mark.parametrize("number", [-1, 0, 1, 4, 2**62])
def test_an_answer_to_what_was_not_asked_means_nothing(number: int) -> None:
    link = ready_link()
    for now in (1.0, 1.25, 1.5):
        link.expire(now=now)
    link.handle(MessageReceived(HeartbeatReply(1, 1)), now=1.55)
    rtt_s = link.rtt.smoothed_rtt_s
    link.handle(MessageReceived(HeartbeatReply(number, 2)), now=9.0)
    assert link.rtt.smoothed_rtt_s == rtt_s == pytest.approx(0.55)
    assert link.unanswered_since == 1.25


def test_it_is_known_since_when_the_peer_has_not_answered() -> None:
    link = ready_link()
    assert link.unanswered_since is None
    for now in (1.0, 1.25, 1.5):
        link.expire(now=now)
    assert link.unanswered_since == 1.0
    link.handle(MessageReceived(HeartbeatReply(2, 1)), now=1.55)
    assert link.unanswered_since == 1.5
    link.handle(MessageReceived(HeartbeatReply(3, 2)), now=1.6)
    assert link.unanswered_since is None


def test_the_peer_says_how_things_arrive_there() -> None:
    link = ready_link()
    assert link.receipt is None
    receipt = Receipt(0.01, 0.001, 0.05)
    link.handle(MessageReceived(Heartbeat(1, receipt)), now=1.1)
    assert link.receipt == receipt


def test_a_silent_peer_is_given_up() -> None:
    link = ready_link()
    for now in (1.0, 1.25, 1.5, 1.75):
        link.expire(now=now)
    assert link.expire(now=2.0) == failed("no heartbeat in time", old=LinkState.READY)
    assert link.next_deadline() is None


def test_any_sign_of_life_keeps_the_link() -> None:
    link = ready_link()
    link.handle(MessageReceived(Heartbeat(1)), now=1.9)
    for now in (1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75):
        assert not any(isinstance(a, CloseTransport) for a in link.expire(now=now))
    assert link.expire(now=2.95)[-1] == CloseTransport("no heartbeat in time")


def test_a_side_that_stood_still_itself_accuses_nobody() -> None:
    link = ready_link()
    link.expire(now=1.0)
    woke_up_at = 9.0
    assert link.expire(now=woke_up_at) == (SendHeartbeat(2, woke_up_at),)
    assert link.state is LinkState.READY


def test_a_peer_without_a_hello_is_given_up() -> None:
    link = new_link()
    link.handle(TransportOpened(), now=0.5)
    assert link.expire(now=4.9) == ()
    assert link.expire(now=5.0) == failed("no hello in time", old=LinkState.CONNECTING)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (Stock(), "message before hello"),
        (Heartbeat(1), "message before hello"),
        (Hello(version=99, name="x"), "peer speaks protocol version 99"),
    ],
)
def test_a_wrong_first_message_closes_the_link(message: Stock, reason: str) -> None:
    link = new_link()
    link.handle(TransportOpened(), now=0.5)
    assert link.handle(MessageReceived(message), now=1.0) == failed(
        reason, old=LinkState.CONNECTING
    )


def test_a_second_hello_closes_the_link() -> None:
    actions = ready_link().handle(MessageReceived(THEIRS), now=2.0)
    assert actions == failed("second hello", old=LinkState.READY)


def test_what_concerns_the_owner_is_left_to_it() -> None:
    stock = MessageReceived(Stock())
    assert ready_link().handle(stock, now=2.0) == ()


def test_a_closed_link_stays_closed() -> None:
    link = ready_link()
    assert link.handle(TransportClosed("reset"), now=2.0) == (
        LinkStateChanged(LinkState.READY, LinkState.CLOSED, "reset"),
    )
    assert link.handle(TransportClosed("again"), now=2.1) == ()
    assert link.handle(MessageReceived(THEIRS), now=2.2) == ()
    assert link.expire(now=99.0) == ()


def test_the_table_is_total() -> None:
    assert set(TRANSITIONS) == set(itertools.product(LinkState, LinkInput))
