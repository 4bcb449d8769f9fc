"""Where a call goes, and what is said of the others."""

import pytest

from backhaul.core.close_reason import CloseReason
from edge.core.routes import RouterConfig, RouteReason
from tests.unit.router_fleet import (
    DESK,
    add,
    chosen,
    figures,
    make_router,
    reasons,
    stock,
)

NEAR_AND_FAR = {"near": None, "far": None}


def test_the_prediction_is_a_sum_in_milliseconds() -> None:
    router = make_router({"near": None}, config=RouterConfig(attach_ms=3.0))
    add(router, "a", "near", stock(0, active=40), rtt_s=0.08)
    found = figures(router.route(DESK), "near")
    assert found.rtt_ms == pytest.approx(80)
    assert found.attach_ms == 3.0
    assert found.open_ms == pytest.approx(400)
    assert found.model_ms == pytest.approx(250)
    assert found.load_ms == pytest.approx(250)
    assert found.predicted_ms == pytest.approx(983)


def test_the_first_word_comes_soonest_where_the_call_goes() -> None:
    router = make_router({"near": None, "far": None, "slow": None})
    add(router, "a", "far", rtt_s=0.2)
    add(router, "b", "near", rtt_s=0.02)
    add(router, "c", "slow", stock(first_audio_s=0.9), rtt_s=0.001)
    decision = router.route(DESK)
    assert decision.choice is not None
    assert (decision.choice.address, decision.choice.warm) == ("b", True)
    assert reasons(decision) == {
        "near": RouteReason.CHOSEN,
        "far": RouteReason.SLOWER,
        "slow": RouteReason.SLOWER,
    }


def test_a_warm_session_further_away_beats_a_cold_one_nearby() -> None:
    router = make_router(NEAR_AND_FAR)
    add(router, "a", "near", stock(0))
    add(router, "b", "far", rtt_s=0.2)
    assert chosen(router.route(DESK)) == "far"


def test_a_cold_session_nearby_beats_a_warm_one_that_is_too_far() -> None:
    router = make_router(NEAR_AND_FAR)
    add(router, "a", "near", stock(0, open_s=0.1))
    add(router, "b", "far", rtt_s=0.2)
    decision = router.route(DESK)
    assert decision.choice is not None
    assert (decision.choice.region, decision.choice.warm) == ("near", False)


def test_distance_stands_in_until_a_round_trip_was_measured() -> None:
    router = make_router({"near": 10.0, "far": 120.0, "nowhere": None})
    for name in ("near", "far", "nowhere"):
        add(router, name, name, rtt_s=None)
    decision = router.route(DESK)
    rtts = {one.region: one.rtt_ms for one in decision.candidates}
    assert rtts == {"near": 10.0, "far": 120.0, "nowhere": 150.0}
    router.set_link("near", up=True, rtt_s=0.3)
    assert figures(router.route(DESK), "near").rtt_ms == pytest.approx(300)


def test_who_is_not_measured_is_expected_to_be_ordinary() -> None:
    router = make_router({"near": None})
    add(router, "a", "near", stock(first_audio_s=0.0))
    assert figures(router.route(DESK), "near").model_ms == 300.0


def test_another_region_must_be_clearly_faster() -> None:
    router = make_router({"one": None, "other": None})
    add(router, "a", "one", rtt_s=0.100)
    add(router, "b", "other", rtt_s=0.120)
    assert chosen(router.route(DESK)) == "one"
    router.set_link("b", up=True, rtt_s=0.080)
    decision = router.route(DESK)
    assert chosen(decision) == "one"
    assert reasons(decision)["other"] is RouteReason.HYSTERESIS
    router.set_link("b", up=True, rtt_s=0.010)
    assert chosen(router.route(DESK)) == "other"
    router.set_link("b", up=True, rtt_s=0.080)
    decision = router.route(DESK)
    assert reasons(decision) == {
        "one": RouteReason.SLOWER,
        "other": RouteReason.CHOSEN,
    }


def test_a_region_that_cannot_take_the_call_is_not_held_on_to() -> None:
    router = make_router({"one": None, "other": None})
    add(router, "a", "one", rtt_s=0.01)
    add(router, "b", "other", rtt_s=0.2)
    assert chosen(router.route(DESK)) == "one"
    router.set_link("a", up=False, rtt_s=None)
    assert chosen(router.route(DESK)) == "other"
    assert chosen(router.route(DESK, allowed={"other"})) == "other"


def test_a_refusal_of_one_call_moves_no_other() -> None:
    router = make_router({"one": None, "other": None})
    add(router, "a", "one", rtt_s=0.01)
    add(router, "b", "other", rtt_s=0.02)
    assert chosen(router.route(DESK)) == "one"
    decision = router.route(DESK, asked=frozenset({"a", "who?"}))
    assert chosen(decision) == "other"
    assert reasons(decision)["one"] is RouteReason.ASKED
    assert chosen(router.route(DESK)) == "one"


def test_residency_is_no_matter_of_figures() -> None:
    router = make_router(NEAR_AND_FAR)
    add(router, "a", "near", rtt_s=0.001)
    add(router, "b", "far", stock(0), rtt_s=0.3)
    assert chosen(router.route(DESK)) == "near"
    decision = router.route(DESK, allowed={"far"})
    assert chosen(decision) == "far"
    assert reasons(decision)["near"] is RouteReason.RESIDENCY


def test_residency_that_leaves_nothing_chooses_nothing() -> None:
    router = make_router(NEAR_AND_FAR)
    add(router, "a", "near")
    decision = router.route(DESK, allowed={"far"})
    assert decision.choice is None
    assert reasons(decision) == {
        "near": RouteReason.RESIDENCY,
        "far": RouteReason.NO_AGENTS,
    }
    assert router.route(DESK, allowed=frozenset()).choice is None


def test_what_cannot_take_a_call_says_why() -> None:
    names = ("empty", "down", "silent", "draining", "full", "other", "ok")
    router = make_router(dict.fromkeys(names))
    router.add("down", "down")
    router.set_stock("down", stock())
    router.add("silent", "silent")
    router.set_link("silent", up=True, rtt_s=0.01)
    add(router, "draining", "draining", stock(draining=True))
    add(router, "full", "full", stock(active=50))
    add(router, "other", "other")
    add(router, "ok", "ok")
    decision = router.route(DESK)
    assert reasons(decision) == {
        "empty": RouteReason.NO_AGENTS,
        "down": RouteReason.DOWN,
        "silent": RouteReason.DOWN,
        "draining": RouteReason.DRAINING,
        "full": RouteReason.FULL,
        "other": RouteReason.CHOSEN,
        "ok": RouteReason.SLOWER,
    }
    nobody = router.route("unknown")
    assert nobody.choice is None
    assert reasons(nobody)["ok"] is RouteReason.NO_PROFILE


def test_a_burst_counts_its_own_leases_until_the_next_snapshot() -> None:
    router = make_router(NEAR_AND_FAR)
    add(router, "a", "near", stock(2))
    add(router, "b", "far", stock(9), rtt_s=0.1)
    places = []
    for _ in range(4):
        choice = router.route(DESK).choice
        assert choice is not None
        router.asked(choice, DESK)
        places.append(choice.region)
    assert places == ["near", "near", "far", "far"]
    router.set_stock("a", stock(2))
    decision = router.route(DESK)  # what is not answered yet still counts
    assert figures(decision, "near").free == 0


def test_a_granted_lease_is_in_the_next_snapshot() -> None:
    router = make_router({"near": None})
    add(router, "a", "near", stock(3))
    choice = router.route(DESK).choice
    assert choice is not None
    router.asked(choice, DESK)
    router.answered(choice, DESK, None)
    assert figures(router.route(DESK), "near").free == 2
    router.set_stock("a", stock(2))
    assert figures(router.route(DESK), "near").free == 2


@pytest.mark.parametrize(
    ("refusal", "left"),
    [
        (CloseReason.NO_STOCK, RouteReason.CHOSEN),
        (CloseReason.NO_ANSWER, RouteReason.CHOSEN),
        (CloseReason.AT_CAPACITY, RouteReason.FULL),
        (CloseReason.DRAINED, RouteReason.DRAINING),
        (CloseReason.UNKNOWN_PROFILE, RouteReason.CHOSEN),
    ],
)
def test_a_refusal_counts_until_the_next_snapshot(
    refusal: CloseReason, left: RouteReason
) -> None:
    router = make_router({"near": None})
    add(router, "a", "near", stock(3))
    choice = router.route(DESK).choice
    assert choice is not None
    router.asked(choice, DESK)
    router.answered(choice, DESK, refusal)
    decision = router.route(DESK)
    assert reasons(decision)["near"] is left
    if left is RouteReason.CHOSEN:
        free = figures(decision, "near").free
        assert free == (0 if refusal is CloseReason.NO_STOCK else 3)
    router.set_stock("a", stock(3))
    assert figures(router.route(DESK), "near").free == 3


def test_agents_come_and_go() -> None:
    router = make_router({"near": None})
    add(router, "a", "near")
    add(router, "b", "elsewhere")  # a region that the settings do not name
    choice = router.route(DESK).choice
    assert choice is not None
    assert choice.address == "a"
    router.asked(choice, DESK)
    router.remove("a")
    router.remove("a")
    router.asked(choice, DESK)
    router.answered(choice, DESK, None)
    assert chosen(router.route(DESK)) == "elsewhere"
    router.add("b", "elsewhere")  # known already: nothing changes
    assert chosen(router.route(DESK)) == "elsewhere"
    add(router, "b", "near")
    router.set_link("b", up=True, rtt_s=0.02)  # as before
    assert chosen(router.route(DESK)) == "near"
    assert reasons(router.route(DESK))["elsewhere"] is RouteReason.NO_AGENTS


def test_two_routers_with_the_same_seed_decide_alike() -> None:
    routers = [make_router({"near": None}, seed=5) for _ in range(2)]
    for router in routers:
        for name in "abcdef":
            add(router, name, "near")
    seen = [[router.route(DESK).choice for _ in range(50)] for router in routers]
    assert seen[0] == seen[1]
    assert len({choice.address for choice in seen[0] if choice}) == 6


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(
    ("per_region", "warm"), [(2, 18), (4, 10), (7, 6)], ids=["few", "some", "many"]
)
def test_a_burst_of_100_calls_is_all_warm_and_evenly_spread(
    seed: int, per_region: int, warm: int
) -> None:
    """Snapshots say nothing new during the burst; stock is for all, and little more."""
    regions = {"near": 0.02, "middle": 0.08, "far": 0.2}
    router = make_router(dict.fromkeys(regions), seed=seed)
    agents = [f"{name}-{n}" for name in regions for n in range(per_region)]
    for address in agents:
        name = address.partition("-")[0]
        add(router, address, name, stock(warm), rtt_s=regions[name])
    calls = dict.fromkeys(agents, 0)
    for _ in range(100):
        choice = router.route(DESK).choice
        assert choice is not None
        assert choice.warm
        router.asked(choice, DESK)
        calls[choice.address] += 1
    assert max(calls.values()) <= 2 * 100 / len(agents)
    assert max(calls.values()) <= warm


@pytest.mark.parametrize("seed", range(12))
def test_with_stock_in_plenty_the_nearest_region_takes_what_it_carries_with_ease(
    seed: int,
) -> None:
    regions = {"near": 0.02, "middle": 0.08, "far": 0.2}
    router = make_router(dict.fromkeys(regions), seed=seed)
    for name, rtt_s in regions.items():
        for n in range(2):
            add(router, f"{name}-{n}", name, stock(100), rtt_s=rtt_s)
    calls: dict[str, int] = {}
    for _ in range(100):
        choice = router.route(DESK).choice
        assert choice is not None
        assert choice.warm
        router.asked(choice, DESK)
        calls[choice.address] = calls.get(choice.address, 0) + 1
    of_near = [calls[name] for name in calls if name.startswith("near")]
    assert sum(of_near) >= 60  # twice the target of 30
    assert max(of_near) - min(of_near) <= 2
    assert max(calls.values()) <= 2 * 100 / 6 + 3
