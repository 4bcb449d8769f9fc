"""What an edge makes of one link, as scripts in literal times."""

from dataclasses import dataclass, field
from typing import cast

from backhaul.core.arrival import ArrivalEstimator
from backhaul.core.estimators import RttEstimator
from backhaul.core.link import LinkState
from backhaul.core.messages import Receipt
from backhaul.links import Link, LinkQuality
from edge.core.link_load import PathQuality
from edge.core.transport_choice import (
    ChoiceInput,
    Measured,
    TransportChooser,
    TransportView,
)
from edge.pooled_link import PooledLink, telling

INTERVAL_S = 0.25


@dataclass
class LinkDouble:
    """A ready link that behaves as a test says."""

    smoothed_rtt_s: float | None = None
    quality: LinkQuality = field(default_factory=lambda: LinkQuality(None, None))
    asked_at: float | None = None
    state: LinkState = LinkState.READY
    channel_count: int = 0

    def unanswered_s(self, now: float) -> float:
        return 0.0 if self.asked_at is None else now - self.asked_at


def pooled(link: LinkDouble) -> PooledLink:
    return PooledLink(1, cast("Link", link), dialled_at=99.96, ready_at=100.0)


def look(link: PooledLink, now: float) -> bool:
    return link.look(now, interval_s=INTERVAL_S)


def test_a_link_that_is_not_ready_is_not_judged() -> None:
    dialled = PooledLink(1, cast("Link", LinkDouble(asked_at=0.0)), dialled_at=0.0)
    assert not look(dialled, 100.0)
    assert not dialled.stalled


def test_the_worse_direction_counts() -> None:
    link = LinkDouble(
        0.04, LinkQuality(Receipt(0.1, 0.0, 0.02), Receipt(0.0, 0.0, 0.03))
    )
    seen = pooled(link)
    look(seen, 103.0)
    assert seen.quality == PathQuality(loss=0.1, late_p99_s=0.03, rtt_s=0.04)


def test_a_young_link_says_nothing_of_loss() -> None:
    seen = pooled(LinkDouble(0.04, LinkQuality(Receipt(loss=0.5), None)))
    look(seen, 101.9)
    assert seen.quality.loss == 0.0
    look(seen, 102.0)
    assert seen.quality.loss == 0.5


def test_links_with_calls_tell_most_of_the_path() -> None:
    young, idle = pooled(LinkDouble(0.04)), pooled(LinkDouble(0.04))
    busy = pooled(LinkDouble(0.04, channel_count=3))
    assert telling(()) == ()
    assert telling((young, idle)) == (young, idle)
    look(idle, 103.0)
    assert telling((young, idle, busy)) == [idle]
    look(busy, 103.0)
    assert telling((young, idle, busy)) == [busy]


def test_a_link_whose_first_heartbeat_is_not_answered_stalls() -> None:
    link = LinkDouble(asked_at=100.0)
    seen = pooled(link)
    assert not look(seen, 100.5)
    assert seen.usable
    assert look(seen, 100.6)
    assert not seen.usable
    assert not look(seen, 100.7)
    link.asked_at, link.smoothed_rtt_s = None, 0.65
    assert look(seen, 100.8)
    assert seen.usable


def test_a_link_that_took_long_to_dial_may_take_long_to_answer() -> None:
    slow = PooledLink(
        1, cast("Link", LinkDouble(asked_at=100.0)), dialled_at=98.0, ready_at=100.0
    )
    assert not look(slow, 103.2)
    assert look(slow, 103.3)


def test_a_link_that_became_slower_for_good_is_seen_to_be() -> None:
    link = LinkDouble(0.01)
    seen = pooled(link)
    look(seen, 103.0)
    link.smoothed_rtt_s = 0.13
    look(seen, 104.0)
    assert seen.quality.rtt_s == 0.01
    for now in (107.0, 110.0, 113.0):
        look(seen, now)
    assert seen.quality.rtt_s == 0.13


class Way:
    """One transport to an agent: what it measures of the delay it has."""

    def __init__(self) -> None:
        self.rtt = RttEstimator()
        self.arrivals = ArrivalEstimator()
        self.link = LinkDouble()
        self.pooled = pooled(self.link)

    def tick(self, number: int, now: float, delay_s: float) -> None:
        """Take 20 ms of speech, and each 13th time a heartbeat's answer."""
        self.arrivals.on_stamp(number, int(now * 10_000), now=now + delay_s)
        if number % 13 == 0:
            self.rtt.add(2 * delay_s)
        received = self.arrivals.receipt()
        self.link.smoothed_rtt_s = self.rtt.smoothed_rtt_s
        self.link.quality = LinkQuality(received, received)

    def view(self, now: float) -> TransportView:
        look(self.pooled, now)
        return TransportView(usable=True, quality=self.pooled.quality)


def test_calls_stay_away_from_a_transport_that_became_slower_for_good() -> None:
    """UDP is taken another way after a minute: 65 ms instead of 5 ms."""
    udp, tcp, chooser = Way(), Way(), TransportChooser()
    changes: list[tuple[ChoiceInput, float]] = []
    for number in range(9000):
        now = 100.0 + number * 0.02
        udp.tick(number, now, 0.005 if now < 160.0 else 0.065)
        tcp.tick(number, now, 0.005)
        if number % 5 == 0:
            seen = Measured(udp.view(now), tcp.view(now))
            changes += [(one.reason, now) for one in chooser.handle(seen, now=now)]
    ((reason, at),) = changes
    assert reason is ChoiceInput.OUTDONE
    assert 165.0 <= at < 167.0
