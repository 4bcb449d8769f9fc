"""The table of a pooled connection, and the figures of a pool."""

import itertools

from backhaul.core.warm_pool_events import (
    TRANSITIONS,
    ConnectionInput,
    ConnectionState,
    WarmPoolConfig,
    WarmPoolCounters,
)


def test_every_state_knows_every_input() -> None:
    pairs = set(itertools.product(ConnectionState, ConnectionInput))
    assert set(TRANSITIONS) == pairs


def test_nothing_leads_out_of_retirement() -> None:
    retired = ConnectionState.RETIRED
    assert {TRANSITIONS[retired, given] for given in ConnectionInput} == {retired}


def test_headroom_comes_on_top_of_the_floor() -> None:
    assert WarmPoolConfig(floor=2).target == 2
    assert WarmPoolConfig(floor=2, headroom=3).target == 5


def test_counters_add_up_one_by_one() -> None:
    total = WarmPoolCounters(opened=3, lost=1)
    total.add(WarmPoolCounters(opened=2, failures=4, exhausted=5))
    assert total == WarmPoolCounters(opened=5, lost=1, failures=4, exhausted=5)
