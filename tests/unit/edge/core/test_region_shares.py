"""Regions that get a share of their calls, as lots are drawn."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backhaul.core.messages import Stock
from edge.core.router import Router
from edge.core.routes import RouteReason
from tests.unit.router_fleet import DESK, add, chosen, make_router, reasons

REGIONS = {"near": None, "far": None, "afar": None}


def make_fleet() -> Router:
    router = make_router(REGIONS)
    for number, name in enumerate(REGIONS):
        add(router, name, name, rtt_s=0.02 + number * 0.1)
    return router


def shares_of(router: Router, calls: int = 2000) -> dict[str, float]:
    went = [chosen(router.route(DESK)) for _ in range(calls)]
    return {name: went.count(name) / calls for name in REGIONS}


def test_a_region_has_all_calls_until_something_else_is_said() -> None:
    router = make_fleet()
    assert router.shares.of("near") == 1.0
    assert shares_of(router) == {"near": 1.0, "far": 0.0, "afar": 0.0}


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_a_share_of_the_calls_goes_there_and_the_others_to_the_next(
    share: float,
) -> None:
    router = make_fleet()
    router.shares.set("near", share)
    went = shares_of(router)
    assert went["near"] == pytest.approx(share, abs=0.03)
    assert went["far"] == pytest.approx(1 - share, abs=0.03)


def test_a_full_share_ends_it() -> None:
    router = make_fleet()
    router.shares.set("near", 0.0)
    router.shares.set("near", 1.0)
    router.shares.set("far", 1.0)
    assert shares_of(router)["near"] == 1.0


def test_a_decision_says_who_was_held_back() -> None:
    router = make_fleet()
    router.route(DESK)
    router.shares.set("near", 0.0)
    decision = router.route(DESK)
    assert reasons(decision) == {
        "near": RouteReason.HELD_BACK,
        "far": RouteReason.CHOSEN,
        "afar": RouteReason.SLOWER,
    }


def test_where_all_are_held_back_the_least_bad_is_taken() -> None:
    router = make_fleet()
    for name, share in (("near", 0.0), ("far", 0.1), ("afar", 0.0)):
        router.shares.set(name, share)
    assert shares_of(router) == {"near": 0.0, "far": 1.0, "afar": 0.0}
    for name in REGIONS:
        router.shares.set(name, 0.0)
    assert shares_of(router)["near"] == 1.0


def test_only_who_can_take_the_call_counts() -> None:
    router = make_fleet()
    router.shares.set("near", 0.0)
    for name in ("far", "afar"):
        router.set_stock(name, Stock())
    assert chosen(router.route(DESK)) == "near"
    assert chosen(router.route(DESK, allowed={"near"})) == "near"
    router.set_stock("near", Stock())
    assert router.route(DESK).choice is None


def test_lots_repeat_with_their_seed() -> None:
    first, second = make_fleet(), make_fleet()
    for router in (first, second):
        router.shares.set("near", 0.5)
    assert shares_of(first, 50) == shares_of(second, 50)


@given(
    st.dictionaries(st.sampled_from(list(REGIONS)), st.sampled_from([0.0, 0.1, 0.5])),
    st.sets(st.sampled_from(list(REGIONS))),
)
def test_whoever_can_take_calls_is_found(
    shares: dict[str, float], gone: set[str]
) -> None:
    router = make_fleet()
    for name, share in shares.items():
        router.shares.set(name, share)
    for name in gone:
        router.set_stock(name, Stock())
    able = [name for name in REGIONS if name not in gone]
    decision = router.route(DESK)
    assert (decision.choice is None) == (not able)
    if any(shares.get(name, 1.0) for name in able):
        assert shares.get(chosen(decision), 1.0) > 0
