"""Which agent is asked first, and what is said of the others."""

import random
from collections import Counter

from edge.core.router import AgentSnapshot, route


def agent(
    name: str, region: str, *, warm: int = 1, rtt_s: float = 0.01, ready: bool = True
) -> AgentSnapshot:
    return AgentSnapshot(
        agent_id=name,
        region=region,
        ready=ready,
        draining=name.startswith("draining"),
        warm=warm,
        smoothed_rtt_s=rtt_s,
    )


def order(*agents: AgentSnapshot, seed: int = 1) -> tuple[str, ...]:
    return route(agents, preferred_region="a", rng=random.Random(seed)).candidates


def test_the_preferred_region_comes_first_then_the_nearest() -> None:
    found = order(
        agent("far", "c", rtt_s=0.2),
        agent("near", "b", rtt_s=0.02),
        agent("own", "a", rtt_s=0.5),
    )
    assert found == ("own", "near", "far")


def test_warm_stock_elsewhere_beats_a_cold_preferred_region() -> None:
    found = order(agent("own", "a", warm=0), agent("near", "b"))
    assert found == ("near", "own")


def test_a_region_is_as_near_as_its_nearest_agent() -> None:
    found = order(
        agent("b1", "b", rtt_s=0.3),
        agent("c1", "c", rtt_s=0.1),
        agent("b2", "b", rtt_s=0.02),
    )
    assert set(found[:2]) == {"b1", "b2"}


def test_what_cannot_take_a_call_is_left_out_with_its_reason() -> None:
    decision = route(
        [agent("dead", "a", ready=False), agent("draining-1", "a"), agent("ok", "b")],
        preferred_region="a",
        rng=random.Random(1),
    )
    assert decision.candidates == ("ok",)
    assert dict(decision.reasons) == {
        "dead": "link is not ready",
        "draining-1": "draining",
        "ok": "other region, 1 warm, rtt 10.0 ms",
    }


def test_the_fuller_of_two_is_asked_first() -> None:
    for seed in range(20):
        assert order(agent("x", "a"), agent("y", "a", warm=9), seed=seed)[0] == "y"


def test_a_burst_on_one_snapshot_spreads_over_a_region() -> None:
    agents = [agent(f"a{n}", "a", warm=10) for n in range(4)]
    rng = random.Random(7)
    first = Counter(
        route(agents, preferred_region="a", rng=rng).candidates[0] for _ in range(1000)
    )
    assert min(first.values()) > 150


def test_no_agents_no_candidates() -> None:
    assert order() == ()
