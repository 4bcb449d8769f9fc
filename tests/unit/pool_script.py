"""A pool that is told what happens at literal times, in a world without delays."""

import random
from collections.abc import Sequence
from typing import Any

from region_agent.core.open_limiter import OpenLimiter
from region_agent.core.pool_config import Capacity, PoolConfig
from region_agent.core.pool_events import (
    PoolAction,
    PoolEvent,
    ProofGiven,
    ProveSession,
    SessionOpened,
    SessionStateChanged,
)
from region_agent.core.session_pool import SessionPool

HOUR_S = 3600.0
AGES_S = 1e9

Step = tuple[float, PoolEvent | None, Sequence[PoolAction]]


class Steady(random.Random):
    """Chance that always falls the same way: the longest wait, the earliest change."""

    def random(self) -> float:
        return 1.0


def make(
    capacity: Capacity | None = None,
    limiter: OpenLimiter | None = None,
    *,
    opens_per_s: float = 10.0,
    **figures: Any,
) -> SessionPool:
    """Return a pool; unless *figures* say so, it keeps its floor and proves once.

    What it lends is replaced at once, if they do not say after what time.
    """
    given = {
        "floor": 1,
        "max_stock": 0,
        "proof_interval_s": AGES_S,
        "refill_after_s": 0.0,
    } | figures
    steady = Steady()
    return SessionPool(
        config=PoolConfig(**given),
        capacity=capacity or Capacity(50),
        limiter=limiter or OpenLimiter(opens_per_s=opens_per_s, rng=steady, now=0.0),
        rng=steady,
        now=0.0,
    )


def tell(
    pool: SessionPool,
    event: PoolEvent | None,
    *,
    now: float,
    silent: Sequence[int] = (),
) -> list[PoolAction]:
    """Feed *event* (None: only time passes) and return the orders given.

    Sessions prove at once that they answer, but for the *silent* ones.
    """
    given = pool.expire(now=now) if event is None else pool.handle(event, now=now)
    orders: list[PoolAction] = []
    for action in given:
        if isinstance(action, ProveSession):
            if action.session not in silent:
                orders += tell(pool, ProofGiven(action.session), now=now, silent=silent)
        elif not isinstance(action, SessionStateChanged):
            orders.append(action)
    return orders


def play(
    pool: SessionPool, steps: Sequence[Step], *, silent: Sequence[int] = ()
) -> None:
    """Feed each event and compare the orders given."""
    for now, event, expected in steps:
        orders = tell(pool, event, now=now, silent=silent)
        assert orders == list(expected), f"at {now}: {event}"


def opened(session: int, *, expires_at: float = HOUR_S) -> SessionOpened:
    return SessionOpened(session, expires_at)


def warm(
    capacity: Capacity | None = None, *, silent: Sequence[int] = (), **figures: Any
) -> SessionPool:
    """Return a pool that was filled at 0 s with all of its floor."""
    pool = make(capacity, **figures)
    tell(pool, None, now=0.0)
    for session in range(1, pool.stock().connecting + 1):
        tell(pool, opened(session), now=0.0, silent=silent)
    return pool
