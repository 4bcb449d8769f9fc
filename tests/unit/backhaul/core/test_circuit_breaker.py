"""When a failing dependency is asked, as scripts with literal times."""

from backhaul.core.circuit_breaker import BreakerConfig, BreakerState, CircuitBreaker

CONFIG = BreakerConfig(failures_to_open=2, cool_down_s=1.0)


def opened_at(now: float) -> CircuitBreaker:
    breaker = CircuitBreaker(CONFIG)
    breaker.failed(now=now)
    breaker.failed(now=now)
    return breaker


def test_it_opens_after_failures_in_a_row_only() -> None:
    breaker = CircuitBreaker(CONFIG)
    for _ in range(5):
        breaker.failed(now=0.0)
        assert breaker.admits(now=0.0)
        breaker.succeeded()
    breaker.failed(now=0.0)
    breaker.failed(now=0.0)
    assert breaker.state is BreakerState.OPEN
    assert not breaker.admits(now=0.5)


def test_one_probe_goes_through_per_cool_down() -> None:
    breaker = opened_at(0.0)
    assert not breaker.admits(now=0.99)
    assert breaker.admits(now=1.0)
    assert breaker.state is BreakerState.HALF_OPEN
    assert not breaker.admits(now=1.5)
    assert breaker.admits(now=2.0)


def test_a_good_probe_closes_it_and_a_bad_one_opens_it_again() -> None:
    breaker = opened_at(0.0)
    assert breaker.admits(now=1.0)
    breaker.failed(now=1.2)
    assert not breaker.admits(now=2.1)
    assert breaker.admits(now=2.2)
    breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED
    assert breaker.admits(now=2.2)
