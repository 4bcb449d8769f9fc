"""Which agents an edge chooses among many."""

from collections import Counter

from edge.core.subset import choose_subset

AGENTS = tuple(f"10.0.0.{n}:7443" for n in range(1, 25))
EDGES = tuple(f"edge-{n}" for n in range(600))


def test_a_small_region_is_chosen_whole() -> None:
    assert sorted(choose_subset("edge-1", AGENTS[:3], size=8)) == sorted(AGENTS[:3])
    assert choose_subset("edge-1", (), size=8) == ()
    assert choose_subset("edge-1", AGENTS, size=0) == ()


def test_the_choice_is_the_same_in_every_process() -> None:
    names = [f"agent-{n}:443" for n in range(6)]
    assert choose_subset("edge-1", names, size=2) == ("agent-0:443", "agent-4:443")


def test_neither_order_nor_repetition_matters() -> None:
    there = choose_subset("edge-1", AGENTS, size=8)
    back = choose_subset("edge-1", AGENTS[::-1] + AGENTS, size=8)
    assert there == back
    assert len(set(there)) == 8


def test_edges_choose_differently_and_agents_get_about_the_same_number() -> None:
    chosen = Counter(
        address for edge in EDGES for address in choose_subset(edge, AGENTS, size=8)
    )
    fair = len(EDGES) * 8 / len(AGENTS)
    assert set(chosen) == set(AGENTS)
    assert min(chosen.values()) > 0.75 * fair
    assert max(chosen.values()) < 1.25 * fair


def test_a_new_agent_takes_its_share_and_moves_nothing_else() -> None:
    moved = 0
    for edge in EDGES:
        before = set(choose_subset(edge, AGENTS, size=8))
        after = set(choose_subset(edge, (*AGENTS, "new:443"), size=8))
        if after != before:
            moved += 1
            assert after - before == {"new:443"}
            assert len(before - after) == 1
    share = len(EDGES) * 8 / (len(AGENTS) + 1)
    assert 0.75 * share < moved < 1.25 * share
