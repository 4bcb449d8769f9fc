"""Measures what a pool is asked for and how fast it refills, and so its target."""

import math
from collections import deque
from typing import Final

from backhaul.core.estimators import SmoothedMean
from region_agent.core.pool_config import PoolConfig
from region_agent.core.stock_sizing import stock_target

__all__ = ["ArrivalRate", "StockDemand", "Surge"]

_MEMORY_S: Final = 60.0
"""About this far back arrivals count (s): long enough for a rate, short enough for a
rush hour."""
_QUIET_PER_S: Final = 1 / (10 * _MEMORY_S)
"""Below this rate nobody can be said to call."""
_MAX_REFILL_S: Final = 30.0
"""A refill that took longer counts as this (s): no outage asks for more stock."""
_SHRINK_AFTER_S: Final = 60.0
"""The target falls after it was lower for this long (s), so that no session is closed
and opened again as the rate goes up and down."""


class ArrivalRate:
    """Arrivals per second, of which the later ones count more."""

    def __init__(self) -> None:
        self._weight = 0.0
        self._at = -math.inf

    def add(self, *, now: float) -> None:
        """Count one arrival."""
        self._weight = self._decayed(now) + 1.0
        self._at = now

    def per_s(self, *, now: float) -> float:
        """Return the rate; 0 when it is next to nothing."""
        rate = self._decayed(now) / _MEMORY_S
        return rate if rate >= _QUIET_PER_S else 0.0

    def _decayed(self, now: float) -> float:
        return self._weight * math.exp(-(now - self._at) / _MEMORY_S)


class Surge:
    """A factor of the stock that holds for a while; of several, the largest one.

    Attributes:
        factor: What the stock is multiplied by.
        ends_at: When it is 1 again (monotonic s); never, if it is.
    """

    def __init__(self) -> None:
        self.factor = 1.0
        self.ends_at = math.inf

    def order(self, factor: float, *, until: float) -> None:
        """Keep *factor* times as much until *until* (monotonic s)."""
        later = until if self.ends_at == math.inf else max(self.ends_at, until)
        self.factor, self.ends_at = max(self.factor, factor), later

    def settle(self, *, now: float) -> None:
        """End it when its time has come."""
        if now >= self.ends_at:
            self.factor, self.ends_at = 1.0, math.inf


class StockDemand:
    """What the stock of one pool should be, by what was measured so far."""

    def __init__(self, config: PoolConfig) -> None:
        self.arrivals = ArrivalRate()
        self.refill = SmoothedMean(config.expected_open_s)
        """From a session missing to the next one ready (s)."""
        self.target = config.floor
        """Sessions to keep ready."""
        self.surge = Surge()
        """More than usual, for a while."""
        self._config = config
        self._usual = config.floor
        self._short_since: deque[float] = deque()
        self._lower_since: float | None = None

    def refilled(self, *, now: float) -> None:
        """Take note that a session became ready."""
        if self._short_since:
            waited_s = now - self._short_since.popleft()
            self.refill.add(min(waited_s, _MAX_REFILL_S))

    def settle(self, ready: int, *, now: float) -> None:
        """Set the target anew, and take note of how many sessions are missing."""
        self._resize(now)
        missing = max(self.target - ready, 0)
        while len(self._short_since) > missing:
            self._short_since.pop()
        while len(self._short_since) < missing:
            self._short_since.append(now)

    def _resize(self, now: float) -> None:
        config = self._config
        usual = stock_target(
            arrival_rate_per_s=self.arrivals.per_s(now=now),
            refill_s=self.refill.value,
            floor=config.floor,
            miss_probability=config.miss_probability,
            headroom=config.headroom,
            factor=config.factor,
            ceiling=config.max_stock,
        )
        if usual >= self._usual:
            self._usual, self._lower_since = usual, None
        elif self._lower_since is None:
            self._lower_since = now
        elif now - self._lower_since >= _SHRINK_AFTER_S:
            self._usual, self._lower_since = usual, None
        # A surge ends on time: that it does was known before.
        self.surge.settle(now=now)
        more = min(math.ceil(self._usual * self.surge.factor), config.max_stock)
        self.target = max(self._usual, more)
