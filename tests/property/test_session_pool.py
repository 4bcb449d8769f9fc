"""The session pool against a model of the world: sessions open, die, fall silent."""

import itertools
import random
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from region_agent.core.open_limiter import OpenLimiter
from region_agent.core.pool_config import Capacity, PoolConfig
from region_agent.core.pool_events import (
    CallEnded,
    Drained,
    GrantLease,
    LeaseRedeemed,
    LeaseReleased,
    LeaseRequested,
    LeaseVoided,
    OpenFailed,
    OpenSession,
    PoolAction,
    PoolEvent,
    ProofGiven,
    ProveSession,
    RefuseLease,
    RetireSession,
    SessionClosed,
    SessionOpened,
    SessionStateChanged,
)
from region_agent.core.session_ladder import TRANSITIONS, SessionInput, SessionState
from region_agent.core.session_pool import SessionPool

MAX_CALLS = 6
OPENS_PER_S = 4.0
CONFIG = PoolConfig(
    floor=3,
    max_stock=5,
    max_concurrent_opens=2,
    max_warm_age_s=120.0,
    min_call_time_left_s=180.0,
    replace_lead_s=10.0,
    proof_interval_s=10.0,
    proof_timeout_s=2.0,
)


class PoolWorld(RuleBasedStateMachine):
    """Everything around one pool, with time that only this machine moves."""

    @initialize(seed=st.integers(0, 2**16), refill_after_s=st.sampled_from((0.0, 1.0)))
    def begin(self, seed: int, refill_after_s: float) -> None:
        self.now = 1000.0
        self.capacity = Capacity(MAX_CALLS)
        rng = random.Random(seed)
        limiter = OpenLimiter(opens_per_s=OPENS_PER_S, rng=rng, now=self.now)
        self.pool = SessionPool(
            config=replace(CONFIG, refill_after_s=refill_after_s),
            capacity=self.capacity,
            limiter=limiter,
            rng=rng,
            now=self.now,
        )
        self.lease_ids = itertools.count()
        self.opening: dict[int, None] = {}
        self.live: dict[int, float] = {}
        self.proven: dict[int, float] = {}
        self.asked: dict[int, float] = {}
        self.slow: set[int] = set()
        self.zombies: dict[int, float] = {}
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
        asked: list[int] = []
        for action in actions:
            match action:
                case OpenSession() | RetireSession() | SessionStateChanged():
                    self.follow(action)
                case ProveSession(number):
                    assert number not in self.asked
                    self.asked[number] = self.now
                    asked.append(number)
                case GrantLease(lease_id):
                    self.check_grant(lease_id)
                case RefuseLease(lease_id):
                    self.waiting.pop(lease_id)
                case LeaseVoided(lease_id):
                    self.leases.pop(lease_id)
        for number in asked:
            self.answer(number)
        self.note_moves()

    def note_moves(self) -> None:
        for lease_id in self.leases:
            # What is lost or in doubt has a successor.
            self.leases[lease_id] = self.held(lease_id)

    def follow(self, action: OpenSession | RetireSession | SessionStateChanged) -> None:
        match action:
            case OpenSession(number):
                assert number not in self.opening | self.live.keys()
                assert self.now >= self.not_before
                self.opening[number] = None
                self.open_times.append(self.now)
            case RetireSession(number):
                self.forget(number)
            case SessionStateChanged(number, old, new):
                assert old is not new
                assert old is not SessionState.RETIRED

    def answer(self, number: int) -> None:
        if number in self.slow | self.zombies.keys() or number not in self.asked:
            return  # it does not answer, or is gone
        del self.asked[number]
        self.proven[number] = self.now
        self.feed(ProofGiven(number))

    def held(self, lease_id: str) -> int:
        session = self.pool._stock.leased(lease_id)
        assert session is not None
        assert self.pool.session_of(lease_id) in {session.number, None}
        return session.number

    def check_grant(self, lease_id: str) -> None:
        self.waiting.pop(lease_id)
        number = self.held(lease_id)
        assert self.now - self.proven[number] < CONFIG.proof_interval_s
        assert number not in self.leases.values()
        assert number not in self.calls
        assert self.live[number] - self.now >= CONFIG.min_call_time_left_s
        assert not self.draining
        self.leases[lease_id] = number

    def forget(self, number: int) -> None:
        assert number in self.opening or number in self.live
        self.opening.pop(number, None)
        self.live.pop(number, None)
        self.zombies.pop(number, None)
        self.asked.pop(number, None)
        self.slow.discard(number)
        self.calls.pop(number, None)

    @rule(seconds=st.one_of(st.floats(0, 2), st.floats(0, 120)))
    def time_passes(self, seconds: float) -> None:
        until = self.now + seconds
        while (due := self.pool.next_deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            self.perform(self.pool.expire(now=self.now))
            later = self.pool.next_deadline()
            assert later is None or later > self.now, "a deadline that never ends"
        self.now = until

    @rule(seconds=st.floats(0.2, 30))
    def process_stands_still(self, seconds: float) -> None:
        self.now += seconds
        for number in self.zombies:
            self.zombies[number] = self.now  # who does not listen blames nobody
        self.perform(self.pool.expire(now=self.now))

    @precondition(lambda self: self.opening)
    @rule(data=st.data(), life_s=st.sampled_from([3600.0, 3600.0, 200.0, 60.0]))
    def session_opens(self, data: st.DataObject, life_s: float) -> None:
        number = data.draw(st.sampled_from(list(self.opening)))
        del self.opening[number]
        self.live[number] = self.now + life_s
        self.feed(SessionOpened(number, self.now + life_s))

    @precondition(lambda self: self.opening)
    @rule(data=st.data(), retry_after_s=st.none() | st.floats(0, 20))
    def open_is_refused(self, data: st.DataObject, retry_after_s: float | None) -> None:
        number = data.draw(st.sampled_from(list(self.opening)))
        del self.opening[number]
        again_at = self.now + (retry_after_s or 0.0)
        self.not_before = max(self.not_before, again_at)
        self.feed(OpenFailed(number, rate_limited=True, retry_after_s=retry_after_s))

    @precondition(lambda self: self.opening)
    @rule(data=st.data())
    def open_fails(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(list(self.opening)))
        del self.opening[number]
        self.feed(OpenFailed(number))

    @precondition(lambda self: self.live)
    @rule(data=st.data(), for_ever=st.booleans())
    def session_falls_silent(self, data: st.DataObject, *, for_ever: bool) -> None:
        number = data.draw(st.sampled_from(list(self.live)))
        if for_ever:
            self.zombies.setdefault(number, self.now)
        else:
            self.slow.add(number)

    @precondition(lambda self: self.slow)
    @rule(data=st.data())
    def slow_session_answers(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.slow)))
        self.slow.discard(number)
        self.answer(number)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def session_dies(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(list(self.live)))
        self.forget(number)
        self.feed(SessionClosed(number))
        assert number not in self.leases.values()

    @rule(cold=st.booleans())
    def lease_is_requested(self, *, cold: bool) -> None:
        lease_id = f"lease-{next(self.lease_ids)}"
        self.waiting[lease_id] = None
        self.feed(LeaseRequested(lease_id, cold))
        assert cold or lease_id not in self.waiting, "who cannot wait has an answer"

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
        number = self.pool.session_of(lease_id)
        held = self.leases.pop(lease_id)
        if number is None:  # in doubt; the call is refused
            self.feed(LeaseReleased(lease_id))
            return
        assert number == held
        if number in self.zombies:
            owing_s = self.now - self.asked.get(number, self.now)
            assert owing_s < CONFIG.proof_timeout_s
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
        idle = len(self.live) - len(self.leases) - len(self.calls)
        assert stock.configured + stock.verified == idle
        used = len(self.leases) + len(self.calls) + len(self.waiting)
        assert self.capacity.in_use == used <= MAX_CALLS

    @invariant()
    def opens_stay_within_limits(self) -> None:
        assert len(self.opening) <= CONFIG.max_concurrent_opens
        burst = int(OPENS_PER_S)
        for first, last in zip(self.open_times, self.open_times[burst:], strict=False):
            assert last - first > 1 / OPENS_PER_S - 1e-9

    @invariant()
    def stock_is_never_beyond_its_target(self) -> None:
        target = self.pool.demand.target
        assert CONFIG.floor <= target <= CONFIG.max_stock
        assert self.pool.stock().verified <= (0 if self.draining else target)

    @invariant()
    def no_zombie_outlives_the_interval(self) -> None:
        for number, since in self.zombies.items():
            in_call = number in self.calls
            assert in_call or self.now - since <= CONFIG.proof_interval_s

    def teardown(self) -> None:
        """Left alone in a world that works, stock returns to its target."""
        if not hasattr(self, "pool"):
            return
        self.slow.clear()
        for _ in range(40):
            for number in list(self.opening):
                del self.opening[number]
                self.live[number] = self.now + 3600.0
                self.feed(SessionOpened(number, self.now + 3600.0))
            self.time_passes(1.0)
        wanted = 0 if self.draining else self.pool.demand.target
        assert self.pool.stock().verified == wanted


PoolWorld.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None
)
TestSessionPool = PoolWorld.TestCase


def test_the_table_is_total() -> None:
    pairs = set(itertools.product(SessionState, SessionInput))
    assert set(TRANSITIONS) == pairs
