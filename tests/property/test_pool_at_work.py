"""A pool at work in virtual time: calls come, and sessions die without a word."""

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from region_agent.core.open_limiter import OpenLimiter
from region_agent.core.pool_config import Capacity, PoolConfig
from region_agent.core.pool_events import (
    CallEnded,
    GrantLease,
    LeaseRedeemed,
    LeaseReleased,
    LeaseRequested,
    OpenSession,
    PoolAction,
    PoolEvent,
    ProofGiven,
    ProveSession,
    RefuseLease,
    RetireSession,
    SessionOpened,
)
from region_agent.core.session_ladder import SessionState
from region_agent.core.session_pool import SessionPool

LEASES = 1000
CONFIG = PoolConfig(floor=4)


@dataclass
class World:
    """Sessions that open in half a second and answer in 20 ms, unless they are dead."""

    rng: random.Random
    now: float = 0.0
    zombies: dict[int, float] = field(default_factory=dict)
    """When each died."""
    gone_after_s: list[float] = field(default_factory=list)
    """How long zombies were there."""
    granted: int = 0
    refused: int = 0
    """Calls whose lease had no session that answers."""
    missed: int = 0
    """Lease requests that found no stock."""
    called: list[int] = field(default_factory=list)
    """The sessions that calls began on."""
    called_dead: int = 0

    def __post_init__(self) -> None:
        self._order = itertools.count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self.pool = SessionPool(
            config=CONFIG,
            capacity=Capacity(50),
            limiter=OpenLimiter(opens_per_s=10.0, rng=self.rng, now=0.0),
            rng=self.rng,
            now=0.0,
        )
        self.perform(self.pool.expire(now=0.0))

    def later(self, wait_s: float, step: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.now + wait_s, next(self._order), step))

    def run(self, until: float) -> None:
        while True:
            deadline = self.pool.next_deadline()
            step_at = self._due[0][0] if self._due else float("inf")
            at = min(step_at, float("inf") if deadline is None else deadline)
            if at > until:
                self.now = until
                return
            self.now = max(self.now, at)
            if step_at <= at:
                heapq.heappop(self._due)[2]()
            else:
                self.perform(self.pool.expire(now=self.now))

    def feed(self, event: PoolEvent) -> None:
        self.perform(self.pool.handle(event, now=self.now))

    def perform(self, actions: tuple[PoolAction, ...]) -> None:
        for action in actions:
            match action:
                case OpenSession(number):
                    opening_s = self.rng.uniform(0.4, 0.6)
                    self.later(opening_s, partial(self.open, number))
                case ProveSession(number):
                    self.later(0.02, partial(self.answer, number))
                case RetireSession(number) if number in self.zombies:
                    self.gone_after_s.append(self.now - self.zombies[number])
                case GrantLease(lease_id):
                    self.granted += 1
                    ring_s = self.rng.uniform(0.3, 2.0)
                    self.later(ring_s, partial(self.redeem, lease_id))
                case RefuseLease():
                    self.missed += 1
                case _:
                    pass

    def open(self, number: int) -> None:
        self.feed(SessionOpened(number, self.now + 3600.0))

    def answer(self, number: int) -> None:
        if number not in self.zombies:
            self.feed(ProofGiven(number))

    def redeem(self, lease_id: str) -> None:
        number = self.pool.session_of(lease_id)
        if number is None:
            self.refused += 1
            self.feed(LeaseReleased(lease_id))
            return
        self.called.append(number)
        self.called_dead += number in self.zombies
        self.feed(LeaseRedeemed(lease_id))
        self.later(self.rng.uniform(1, 5), partial(self.feed, CallEnded(number)))

    def kill_one_in_stock(self) -> None:
        reports = self.pool.reports(now=self.now)
        stock = [r.number for r in reports if r.state is SessionState.VERIFIED]
        alive = [number for number in stock if number not in self.zombies]
        if alive:
            self.zombies[self.rng.choice(alive)] = self.now


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32))
def test_of_a_thousand_leases_none_is_a_call_on_a_dead_session(seed: int) -> None:
    world = World(random.Random(seed))
    world.run(5.0)
    for number in range(LEASES):
        if number % 10 == 0:
            world.kill_one_in_stock()
        world.feed(LeaseRequested(f"{number}"))
        world.run(world.now + world.rng.expovariate(1.0))
    world.run(world.now + CONFIG.proof_interval_s)
    assert len(world.zombies) >= LEASES // 20
    assert world.called_dead == 0
    assert len(world.called) + world.refused == world.granted
    assert world.granted >= 0.98 * LEASES
    assert world.refused <= 0.01 * LEASES
    assert len(world.gone_after_s) == len(world.zombies)
    assert max(world.gone_after_s) <= CONFIG.proof_interval_s


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.floats(0, 20))
def test_a_dead_session_is_replaced_within_one_interval(
    seed: int, wait_s: float
) -> None:
    world = World(random.Random(seed))
    world.run(5.0 + wait_s)
    world.kill_one_in_stock()
    (dead,) = world.zombies
    world.run(world.now + CONFIG.proof_interval_s)
    assert world.gone_after_s
    assert world.pool.stock().verified == CONFIG.floor
    assert dead not in {report.number for report in world.pool.reports(now=world.now)}


@pytest.mark.parametrize("calls_per_s", [0.2, 1.0, 3.0, 6.0])
def test_stock_follows_the_calls(calls_per_s: float) -> None:
    world = World(random.Random(1))
    world.run(5.0)
    for number in range(3000):
        if number == 1000:  # by now the rate is known
            world.granted = world.missed = 0
        world.feed(LeaseRequested(f"{number}"))
        world.run(world.now + world.rng.expovariate(calls_per_s))
    assert world.granted + world.missed == 2000
    assert world.missed <= CONFIG.miss_probability * 2000
    at_once_s = 0.5 + 0.02
    refill_s = world.pool.demand.refill.value
    assert 0.9 * at_once_s <= refill_s <= at_once_s + CONFIG.refill_after_s
    assert world.pool.demand.target <= 1.5 * CONFIG.floor + 3 * calls_per_s


def test_proofs_are_spread_in_time() -> None:
    world = World(random.Random(1))
    asked: list[float] = []
    world.run(2.0)
    while world.now < 102.0:
        before = world.pool.counters.proofs
        world.run(world.now + 0.1)
        asked += [world.now] * (world.pool.counters.proofs - before)
    # Four sessions, each asked every 4 to 7 s, hardly ever two in one tenth.
    assert 4 * 100 / 7 - 8 <= len(asked) <= 4 * 100 / 4 + 8
    assert len(set(asked)) > 0.85 * len(asked)
    gaps = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert sum(gaps) / len(gaps) == pytest.approx(5.5 / 4, rel=0.2)
