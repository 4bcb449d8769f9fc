"""What a call would cost in a region, and which of its agents is asked."""

import random
from collections import Counter

import pytest

from backhaul.core.messages import Stock
from edge.core.agent_book import AgentBook
from edge.core.region_book import RegionBook
from edge.core.routes import RouterConfig, RouteReason
from tests.unit.router_fleet import DESK, stock


def region(*agents: tuple[str, Stock, float | None]) -> RegionBook:
    book = RegionBook("near", RouterConfig(), assumed_rtt_ms=90.0)
    for address, said, rtt_ms in agents:
        agent = book.agents[address] = AgentBook(address)
        agent.up, agent.rtt_ms = True, rtt_ms
        agent.set_stock(said)
    return book


def test_a_region_is_as_near_as_its_nearest_agent() -> None:
    book = region(("a", stock(), 30.0), ("b", stock(), 20.0), ("c", stock(), None))
    assert book.candidate(DESK).rtt_ms == 20.0
    assert book.candidate(DESK, without={"b"}).rtt_ms == 30.0
    assert book.candidate(DESK, without={"a", "b"}).rtt_ms == 90.0


def test_measurements_are_averaged_over_those_that_can_take_the_call() -> None:
    book = region(
        ("a", stock(0, open_s=0.2, first_audio_s=0.2), 1.0),
        ("b", stock(0, open_s=0.4, first_audio_s=0.4), 1.0),
        ("c", stock(0, open_s=0.6, first_audio_s=0.0), 1.0),
        ("d", stock(9, open_s=9.0, first_audio_s=9.0, draining=True), 1.0),
    )
    found = book.candidate(DESK)
    assert (found.agents, found.free) == (3, 0)
    assert found.open_ms == pytest.approx(400)
    assert found.model_ms == pytest.approx(300)


def test_load_costs_nothing_up_to_the_target_and_grows_to_the_cap() -> None:
    for active, cost_ms in ((0, 0.0), (30, 0.0), (40, 250.0), (49, 475.0)):
        found = region(("a", stock(active=active), 1.0)).candidate(DESK)
        assert found.load_ms == pytest.approx(cost_ms)


def test_an_agent_without_a_margin_between_target_and_cap_costs_nothing_extra() -> None:
    for target in (50, 99):
        found = region(("a", stock(active=49, target=target), 1.0)).candidate(DESK)
        assert found.load_ms == 0.0


def test_the_most_telling_reason_stands_for_the_region() -> None:
    draining, full = stock(draining=True), stock(active=50)
    assert region().candidate(DESK).blocked is RouteReason.NO_AGENTS
    both = region(("a", draining, 1.0), ("b", full, 1.0), ("c", draining, 1.0))
    assert both.candidate(DESK).blocked is RouteReason.FULL
    assert both.candidate(DESK).otherwise is RouteReason.FULL
    assert both.candidate("other").blocked is RouteReason.NO_PROFILE
    assert both.candidate(DESK, without={"a"}).blocked is RouteReason.ASKED


def test_of_two_agents_the_one_with_more_stock_is_asked() -> None:
    book = region(("x", stock(1), 1.0), ("y", stock(9), 1.0), ("z", stock(0), 1.0))
    for seed in range(20):
        agent, warm = book.pick(DESK, without=frozenset(), rng=random.Random(seed))
        assert (agent.address, warm) == ("y", True)


def test_without_stock_the_one_with_more_room_is_asked() -> None:
    book = region(("x", stock(0, active=9), 1.0), ("y", stock(0), 1.0))
    for seed in range(20):
        agent, warm = book.pick(DESK, without=frozenset(), rng=random.Random(seed))
        assert (agent.address, warm) == ("y", False)
    agent, _ = book.pick(DESK, without={"y"}, rng=random.Random(1))
    assert agent.address == "x"


def test_equal_agents_are_asked_equally_often() -> None:
    book = region(*((f"a{n}", stock(10), 1.0) for n in range(4)))
    rng = random.Random(7)
    seen = Counter(
        book.pick(DESK, without=frozenset(), rng=rng)[0].address for _ in range(1000)
    )
    assert min(seen.values()) > 200
