"""The breaker's table is total, and what it promises holds for any history."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from backhaul.core.circuit_breaker import (
    TRANSITIONS,
    BreakerConfig,
    BreakerEvent,
    BreakerState,
    CircuitBreaker,
)

CONFIG = BreakerConfig(failures_to_open=3, cool_down_s=1.0)

histories = st.lists(
    st.tuples(
        st.floats(min_value=0.0, max_value=2.0),
        st.sampled_from(["answered", "failed", "never reported"]),
    ),
    max_size=60,
)


def test_every_state_knows_every_event() -> None:
    assert set(TRANSITIONS) == set(itertools.product(BreakerState, BreakerEvent))


def test_every_state_can_be_reached_and_left() -> None:
    for state in BreakerState:
        assert any(
            old is not state for (old, _), new in TRANSITIONS.items() if new is state
        )
        assert any(
            new is not state for (old, _), new in TRANSITIONS.items() if old is state
        )


@given(histories)
def test_while_it_fails_at_most_one_request_per_cool_down_is_made(
    history: list[tuple[float, str]],
) -> None:
    breaker, now = CircuitBreaker(CONFIG), 0.0
    failures, quiet_until = 0, 0.0
    for wait_s, outcome in history:
        now += wait_s
        admitted = breaker.admits(now=now)
        assert admitted == (failures < CONFIG.failures_to_open or now >= quiet_until)
        if not admitted:
            continue
        quiet_until = now + CONFIG.cool_down_s
        if outcome == "answered":
            breaker.succeeded()
            failures = 0
        elif outcome == "failed":
            breaker.failed(now=now)
            failures += 1


@given(histories)
def test_a_dependency_that_is_back_is_asked_after_one_cool_down(
    history: list[tuple[float, str]],
) -> None:
    breaker, now = CircuitBreaker(CONFIG), 0.0
    for wait_s, outcome in history:
        now += wait_s
        if breaker.admits(now=now) and outcome == "failed":
            breaker.failed(now=now)
    now += CONFIG.cool_down_s
    assert breaker.admits(now=now)
    breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED
    assert breaker.admits(now=now)
