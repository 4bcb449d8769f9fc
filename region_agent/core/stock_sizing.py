"""How many sessions to keep ready, from the calls that come and the time to refill."""

import math

__all__ = ["poisson_stock", "stock_target"]


def poisson_stock(mean: float, miss_probability: float, *, ceiling: int) -> int:
    """Return the smallest n with P(X >= n) < *miss_probability*, X being Poisson.

    With n sessions in stock and one ordered for each that is taken, X counts those
    that are on their way; an arrival finds none when all n are. X is Poisson whatever
    the refill time's distribution, and an arrival sees it as it is on average.

    Args:
        mean: Of X: arrivals in the mean refill time, >= 0.
        miss_probability: Accepted share of arrivals that find none, 0 to 1, exclusive.
        ceiling: The result is never above it.

    Raises:
        ValueError: If *mean* or *miss_probability* is out of range.

    Source: C. Palm's theorem on M/G/infinity; R. Wolff, "Poisson Arrivals See Time
    Averages".
    """
    if not (mean >= 0 and math.isfinite(mean)):
        raise ValueError("mean: not a finite number >= 0")
    if not 0 < miss_probability < 1:
        raise ValueError("miss_probability: not between 0 and 1")
    below = 0.0
    for stock in range(ceiling):
        if 1.0 - below < miss_probability:
            return stock
        below += _poisson(stock, mean)
    return ceiling


def stock_target(
    *,
    arrival_rate_per_s: float,
    refill_s: float,
    floor: int,
    miss_probability: float,
    headroom: float,
    factor: float,
    ceiling: int,
) -> int:
    """Return how many sessions of a profile an agent should have ready.

    Args:
        arrival_rate_per_s: Calls that want a session, >= 0.
        refill_s: Mean time from a session being taken to the next one being ready (s).
        floor: Never fewer, whatever comes; 0: none at all, whatever comes.
        miss_probability: Accepted share of calls that find none.
        headroom: Share added to what the arrivals ask for, >= 0: rates are measured
            late and calls come in bursts.
        factor: Over-provisioning of all of it, >= 1.
        ceiling: Never more than this, or than *floor* when that is higher.

    Raises:
        ValueError: If an argument is out of range.
    """
    if headroom < 0 or factor < 1:
        raise ValueError("headroom or factor: below its range")
    if floor == 0:
        return 0
    mean = arrival_rate_per_s * refill_s
    needed = (
        poisson_stock(mean, miss_probability, ceiling=ceiling)
        if arrival_rate_per_s
        else 0
    )
    # Rounded, for a whole session on top of a single one would be no headroom.
    demand = math.floor(needed * (1 + headroom) + 0.5)
    wanted = math.ceil(max(floor, demand) * factor)
    return max(floor, min(wanted, ceiling))


def _poisson(count: int, mean: float) -> float:
    """Return P(X = *count*); by logarithms, since exp(-mean) alone would vanish."""
    if mean == 0:
        return float(count == 0)
    return math.exp(count * math.log(mean) - mean - math.lgamma(count + 1))
