"""The stock target, against sums that are made in another way."""

import math
from fractions import Fraction

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from region_agent.core.stock_sizing import poisson_stock, stock_target

means = st.floats(0, 60)
shares = st.floats(1e-5, 0.5)
rates = st.floats(0, 50)
times = st.floats(0.01, 10)
floors = st.integers(1, 30)


def none_left(stock: int, mean: float) -> float:
    """Return P(X >= stock) by exact fractions, but for e to the -mean."""
    exact = Fraction(mean)
    terms = [exact**count / math.factorial(count) for count in range(stock)]
    return 1.0 - math.exp(-mean) * float(sum(terms))


def target(rate: float, refill_s: float, floor: int, miss: float = 0.01) -> int:
    return stock_target(
        arrival_rate_per_s=rate,
        refill_s=refill_s,
        floor=floor,
        miss_probability=miss,
        headroom=0.25,
        factor=1.0,
        ceiling=50,
    )


@settings(deadline=None)
@given(means, shares)
def test_it_is_the_smallest_stock_that_runs_out_rarely_enough(
    mean: float, miss: float
) -> None:
    stock = poisson_stock(mean, miss, ceiling=10_000)
    assert none_left(stock, mean) < miss + 1e-9
    assert none_left(stock - 1, mean) >= miss - 1e-9


@given(means, means, shares)
def test_more_calls_never_need_less(one: float, other: float, miss: float) -> None:
    less, more = sorted((one, other))
    assert poisson_stock(less, miss, ceiling=500) <= poisson_stock(
        more, miss, ceiling=500
    )


@given(means, shares, shares)
def test_fewer_misses_never_need_less(mean: float, one: float, other: float) -> None:
    rarely, often = sorted((one, other))
    assert poisson_stock(mean, rarely, ceiling=500) >= poisson_stock(
        mean, often, ceiling=500
    )


@given(rates, times, floors)
def test_the_target_is_between_floor_and_ceiling(
    rate: float, refill_s: float, floor: int
) -> None:
    assert floor <= target(rate, refill_s, floor) <= 50


@given(rates, times, floors)
def test_the_target_misses_rarely_unless_the_ceiling_says_so(
    rate: float, refill_s: float, floor: int
) -> None:
    found = target(rate, refill_s, floor)
    assume(found < 50)
    assert none_left(found, rate * refill_s) < 0.01 + 1e-9


@given(rates, times, floors, st.floats(0, 2), st.floats(1, 3))
def test_headroom_and_factor_only_add(
    rate: float, refill_s: float, floor: int, headroom: float, factor: float
) -> None:
    plain = stock_target(
        arrival_rate_per_s=rate,
        refill_s=refill_s,
        floor=floor,
        miss_probability=0.01,
        headroom=0.0,
        factor=1.0,
        ceiling=50,
    )
    more = stock_target(
        arrival_rate_per_s=rate,
        refill_s=refill_s,
        floor=floor,
        miss_probability=0.01,
        headroom=headroom,
        factor=factor,
        ceiling=50,
    )
    assert plain <= more
    assert more <= math.ceil((plain * (1 + headroom) + 0.5) * factor)
