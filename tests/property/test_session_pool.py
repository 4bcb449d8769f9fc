"""The session pool against a model of the world: sessions open, die, are lent."""

import itertools
import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from region_agent.core.pool_events import (
    CallEnded,
    Capacity,
    Drained,
    GrantLease,
    LeaseRedeemed,
    LeaseReleased,
    LeaseRequested,
    LeaseVoided,
    OpenFailed,
    OpenSession,
    PoolAction,
    PoolConfig,
    PoolEvent,
    RefuseLease,
    RetireSession,
    SessionClosed,
    SessionOpened,
    SessionStateChanged,
)
from region_agent.core.session_ladder import TRANSITIONS, SessionInput, SessionState
from region_agent.core.session_pool import SessionPool

MAX_CALLS = 6
CONFIG = PoolConfig(floor=3, opens_per_s=4.0, max_concurrent_opens=2)


class PoolWorld(RuleBasedStateMachine):
    """Everything around one pool, with time that only this machine moves."""

    @initialize(seed=st.integers(0, 2**16))
    def begin(self, seed: int) -> None:
        self.now = 1000.0
        self.capacity = Capacity(MAX_CALLS)
        self.pool = SessionPool(
            config=CONFIG, capacity=self.capacity, rng=random.Random(seed), now=self.now
        )
        self.lease_ids = itertools.count()
        self.opening: dict[int, None] = {}
        self.live: dict[int, float] = {}
        self.waiting: dict[str, None] = {}
        self.leases: dict[str, int] = {}
        self.calls: dict[int, None] = {}
        self.open_times: list[float] = []
        self.not_before = 0.0
        self.draining = False
        self.perform(self.pool.expire(now=self.now))

    def feed(self, event: PoolEvent) -> None:
        self.perform(self.pool.handle(event, now=self.now))

    def perform(self, actions: tuple[PoolAction, ...]) -> None:
        for action in actions:
            match action:
                case OpenSession(number):
                    assert number not in self.opening | self.live.keys()
                    assert self.now >= self.not_before
                    self.opening[number] = None
                    self.open_times.append(self.now)
                case RetireSession(number):
                    self.forget(number)
                case GrantLease(lease_id):
                    self.check_grant(lease_id)
                case RefuseLease(lease_id):
                    self.waiting.pop(lease_id)
                case LeaseVoided(lease_id):
                    self.leases.pop(lease_id)
                case SessionStateChanged(number, old, new):
                    assert old is not new
                    assert old is not SessionState.RETIRED

    def check_grant(self, lease_id: str) -> None:
        self.waiting.pop(lease_id)
        number = self.pool.session_of(lease_id)
        assert number is not None
        assert number not in self.leases.values()
        assert number not in self.calls
        assert self.live[number] - self.now >= CONFIG.min_call_time_left_s
        assert not self.draining
        self.leases[lease_id] = number

    def forget(self, number: int) -> None:
        assert number in self.opening or number in self.live
        self.opening.pop(number, None)
        self.live.pop(number, None)
        self.calls.pop(number, None)

    @rule(seconds=st.one_of(st.floats(0, 2), st.floats(0, 1500)))
    def time_passes(self, seconds: float) -> None:
        until = self.now + seconds
        while (due := self.pool.next_deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            self.perform(self.pool.expire(now=self.now))
            later = self.pool.next_deadline()
            assert later is None or later > self.now, "a deadline that never ends"
        self.now = until

    @precondition(lambda self: self.opening)
    @rule(data=st.data(), life_s=st.sampled_from([3600.0, 3600.0, 1900.0, 60.0]))
    def session_opens(self, data: st.DataObject, life_s: float) -> None:
        number = data.draw(st.sampled_from(list(self.opening)))
        del self.opening[number]
        self.live[number] = self.now + life_s
        self.feed(SessionOpened(number, self.now + life_s))

    @precondition(lambda self: self.opening)
    @rule(data=st.data(), retry_after_s=st.none() | st.floats(0, 20))
    def open_fails(self, data: st.DataObject, retry_after_s: float | None) -> None:
        number = data.draw(st.sampled_from(list(self.opening)))
        del self.opening[number]
        again_at = self.now + (retry_after_s or 0.0)
        self.not_before = max(self.not_before, again_at)
        self.feed(OpenFailed(number, retry_after_s))

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def session_dies(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(list(self.live)))
        self.forget(number)
        self.feed(SessionClosed(number))
        for lease_id in [key for key, held in self.leases.items() if held == number]:
            successor = self.pool.session_of(lease_id)
            assert successor is not None
            assert successor != number
            self.leases[lease_id] = successor

    @rule()
    def lease_is_requested(self) -> None:
        lease_id = f"lease-{next(self.lease_ids)}"
        self.waiting[lease_id] = None
        self.feed(LeaseRequested(lease_id))

    @precondition(lambda self: self.leases or self.waiting)
    @rule(data=st.data())
    def lease_is_released(self, data: st.DataObject) -> None:
        lease_id = data.draw(st.sampled_from([*self.leases, *self.waiting]))
        self.leases.pop(lease_id, None)
        self.waiting.pop(lease_id, None)
        self.feed(LeaseReleased(lease_id))

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def lease_is_redeemed(self, data: st.DataObject) -> None:
        lease_id = data.draw(st.sampled_from(list(self.leases)))
        number = self.leases.pop(lease_id)
        assert self.pool.session_of(lease_id) == number
        self.calls[number] = None
        self.feed(LeaseRedeemed(lease_id))

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def call_ends(self, data: st.DataObject) -> None:
        self.feed(CallEnded(data.draw(st.sampled_from(list(self.calls)))))

    @precondition(lambda self: not self.draining)
    @rule(chance=st.integers(0, 19))
    def agent_drains(self, chance: int) -> None:
        if chance == 0:
            self.draining = True
            self.feed(Drained())

    @invariant()
    def no_session_serves_two(self) -> None:
        held = [*self.leases.values(), *self.calls]
        assert len(held) == len(set(held))

    @invariant()
    def counts_agree(self) -> None:
        stock = self.pool.stock()
        assert stock.connecting == len(self.opening)
        assert stock.leased == len(self.leases)
        assert stock.in_call == len(self.calls)
        assert stock.configured == len(self.live) - len(self.leases) - len(self.calls)
        used = len(self.leases) + len(self.calls) + len(self.waiting)
        assert self.capacity.in_use == used <= MAX_CALLS

    @invariant()
    def opens_stay_within_limits(self) -> None:
        assert len(self.opening) <= CONFIG.max_concurrent_opens
        burst = int(CONFIG.opens_per_s)
        for first, last in zip(self.open_times, self.open_times[burst:], strict=False):
            assert last - first > 1 / CONFIG.opens_per_s - 1e-9

    @invariant()
    def stock_is_never_beyond_the_floor(self) -> None:
        floor = 0 if self.draining else CONFIG.floor
        assert self.pool.stock().configured <= floor

    def teardown(self) -> None:
        """Left alone in a world that works, stock returns to the floor."""
        if not hasattr(self, "pool"):
            return
        for _ in range(40):
            for number in list(self.opening):
                del self.opening[number]
                self.live[number] = self.now + 3600.0
                self.feed(SessionOpened(number, self.now + 3600.0))
            self.time_passes(1.0)
        assert self.pool.stock().configured == (0 if self.draining else CONFIG.floor)


PoolWorld.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None
)
TestSessionPool = PoolWorld.TestCase


def test_the_table_is_total() -> None:
    pairs = set(itertools.product(SessionState, SessionInput))
    assert set(TRANSITIONS) == pairs
