"""The pool, told what happens at literal times; *opened* etc. keep scripts short."""

import random
from collections.abc import Sequence
from typing import Any

from backhaul.core.messages import CloseReason
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
    PoolStock,
    RefuseLease,
    RetireSession,
    SessionClosed,
    SessionOpened,
    SessionStateChanged,
)
from region_agent.core.session_ladder import SessionState
from region_agent.core.session_pool import SessionPool

HOUR_S = 3600.0

Step = tuple[float, PoolEvent | None, Sequence[PoolAction]]


class Steady(random.Random):
    """Chance that always falls the same way: the longest wait, the earliest change."""

    def random(self) -> float:
        return 1.0


def make(capacity: Capacity | None = None, **figures: Any) -> SessionPool:
    config = PoolConfig(**({"floor": 1} | figures))
    return SessionPool(
        config=config, capacity=capacity or Capacity(50), rng=Steady(), now=0.0
    )


def play(pool: SessionPool, steps: Sequence[Step]) -> None:
    """Feed each event (None: only time passes) and compare the orders given."""
    for now, event, expected in steps:
        given = pool.expire(now=now) if event is None else pool.handle(event, now=now)
        orders = [a for a in given if not isinstance(a, SessionStateChanged)]
        assert orders == list(expected), f"at {now}: {event}"


def opened(session: int, *, expires_at: float = HOUR_S) -> SessionOpened:
    return SessionOpened(session, expires_at)


def warm(capacity: Capacity | None = None, **figures: Any) -> SessionPool:
    """Return a pool that was filled at 0 s with all of its floor."""
    pool = make(capacity, **figures)
    pool.expire(now=0.0)
    for session in range(1, pool.stock().connecting + 1):
        pool.handle(opened(session), now=0.0)
    return pool


def test_opens_its_floor_at_birth() -> None:
    pool = make(floor=2)
    assert pool.next_deadline() == 0.0
    play(pool, [(0.0, None, [OpenSession(1), OpenSession(2)]), (0.0, None, [])])
    assert pool.next_deadline() is None
    assert pool.stock() == PoolStock(connecting=2)
    play(pool, [(0.4, opened(1), []), (0.5, opened(2), [])])
    assert pool.stock() == PoolStock(configured=2)
    assert pool.counters.opened == 2


def test_every_change_of_state_is_told() -> None:
    pool = make()
    pool.expire(now=0.0)
    assert pool.handle(opened(1), now=0.4) == (
        SessionStateChanged(
            1, SessionState.CONNECTING, SessionState.CONFIGURED, "opened"
        ),
    )


def test_opens_are_limited_in_number_and_rate() -> None:
    pool = make(floor=5, opens_per_s=2.0, max_concurrent_opens=3)
    play(pool, [(0.0, None, [OpenSession(1), OpenSession(2)])])
    assert pool.next_deadline() == 0.5
    play(pool, [(0.4, None, []), (0.5, None, [OpenSession(3)])])
    assert pool.next_deadline() is None  # three are under way
    play(pool, [(1.0, opened(1), [OpenSession(4)])])


def test_less_than_one_open_per_second_is_possible() -> None:
    pool = make(floor=2, opens_per_s=0.5)
    play(pool, [(0.0, None, [OpenSession(1)])])
    assert pool.next_deadline() == 2.0


def test_lends_the_oldest_and_refills_at_once() -> None:
    pool = make(floor=2)
    play(
        pool,
        [
            (0.0, None, [OpenSession(1), OpenSession(2)]),
            (0.4, opened(2), []),
            (0.5, opened(1), []),
            (1.0, LeaseRequested("a"), [GrantLease("a", warm=True), OpenSession(3)]),
        ],
    )
    assert pool.session_of("a") == 2
    assert pool.stock() == PoolStock(connecting=1, configured=1, leased=1)
    assert pool.counters.warm_grants == 1


def test_a_call_takes_its_session_and_retires_it() -> None:
    capacity = Capacity(50)
    pool = warm(capacity)
    play(
        pool,
        [
            (1.0, LeaseRequested("a"), [GrantLease("a", warm=True), OpenSession(2)]),
            (2.0, LeaseRedeemed("a"), []),
            (2.5, opened(2), []),
        ],
    )
    assert pool.session_of("a") is None
    assert pool.stock() == PoolStock(configured=1, in_call=1)
    assert capacity.in_use == 1
    play(pool, [(60.0, CallEnded(1), [RetireSession(1)])])
    assert capacity.in_use == 0
    assert pool.counters.retired == 1


def test_asking_twice_changes_nothing() -> None:
    capacity = Capacity(50)
    pool = warm(capacity)
    pool.handle(LeaseRequested("a"), now=1.0)
    play(pool, [(1.1, LeaseRequested("a"), []), (1.2, LeaseRequested("b"), [
        OpenSession(3)]), (1.3, LeaseRequested("b"), [])])  # fmt: skip
    assert capacity.in_use == 2


def test_a_lease_runs_out_and_its_session_returns() -> None:
    capacity = Capacity(50)
    pool = warm(capacity)
    play(
        pool,
        [
            (1.0, LeaseRequested("a"), [GrantLease("a", warm=True), OpenSession(2)]),
            (1.5, OpenFailed(2), []),
        ],
    )
    play(
        pool,
        [
            (1.6, None, [OpenSession(3)]),
            (40.9, None, []),
            (41.0, None, [LeaseVoided("a")]),
            (41.0, LeaseRedeemed("a"), []),
        ],
    )
    assert pool.counters.leases_expired == 1
    assert capacity.in_use == 0
    assert pool.stock() == PoolStock(connecting=1, configured=1)


def test_the_lease_s_end_is_a_deadline() -> None:
    pool = warm()
    pool.handle(LeaseRequested("a"), now=1.0)
    assert pool.next_deadline() == 41.0


def test_a_released_lease_returns_its_session_and_surplus_retires() -> None:
    pool = warm()
    play(
        pool,
        [
            (1.0, LeaseRequested("a"), [GrantLease("a", warm=True), OpenSession(2)]),
            (1.5, opened(2), []),
            (2.0, LeaseReleased("a"), [RetireSession(1)]),
            (2.0, LeaseReleased("a"), []),
        ],
    )
    assert pool.stock() == PoolStock(configured=1)


def test_without_stock_a_lease_waits_for_a_session_beyond_the_floor() -> None:
    capacity = Capacity(50)
    pool = make(capacity)
    play(
        pool,
        [
            (0.0, None, [OpenSession(1)]),
            (0.1, LeaseRequested("a"), [OpenSession(2)]),
            (0.4, opened(1), [GrantLease("a", warm=False)]),
            (0.5, opened(2), []),
        ],
    )
    assert pool.counters.cold_grants == 1
    assert capacity.in_use == 1


def test_waiting_ends_with_a_refusal() -> None:
    capacity = Capacity(50)
    pool = make(capacity)
    play(
        pool,
        [
            (0.0, None, [OpenSession(1)]),
            (0.1, LeaseRequested("a"), [OpenSession(2)]),
            (3.0, None, []),
        ],
    )
    assert pool.next_deadline() == 3.1
    refusal = RefuseLease("a", CloseReason.MODEL_UNAVAILABLE)
    play(pool, [(3.1, None, [refusal])])
    assert pool.counters.refused == 1
    assert capacity.in_use == 0


def test_a_waiting_lease_can_be_released() -> None:
    capacity = Capacity(50)
    pool = make(capacity)
    pool.expire(now=0.0)
    play(
        pool,
        [
            (0.1, LeaseRequested("a"), [OpenSession(2)]),
            (0.2, LeaseReleased("a"), []),
            (0.4, opened(1), []),
            (0.5, opened(2), [RetireSession(1)]),
        ],
    )
    assert capacity.in_use == 0


def test_a_returned_session_goes_to_who_waits() -> None:
    pool = warm()
    play(
        pool,
        [
            (1.0, LeaseRequested("a"), [GrantLease("a", warm=True), OpenSession(2)]),
            (1.1, LeaseRequested("b"), [OpenSession(3)]),
            (1.2, LeaseReleased("a"), [GrantLease("b", warm=False)]),
        ],
    )
    assert pool.session_of("b") == 1


def test_beyond_capacity_leases_are_refused() -> None:
    capacity = Capacity(1)
    pool, other = warm(capacity), warm(capacity)
    pool.handle(LeaseRequested("a"), now=1.0)
    refusal = RefuseLease("b", CloseReason.AT_CAPACITY)
    play(other, [(1.0, LeaseRequested("b"), [refusal])])
    pool.handle(LeaseReleased("a"), now=2.0)
    play(
        other,
        [(2.0, LeaseRequested("b"), [GrantLease("b", warm=True), OpenSession(2)])],
    )


def test_failed_opens_back_off() -> None:
    pool = make()
    play(
        pool,
        [
            (0.0, None, [OpenSession(1)]),
            (0.5, OpenFailed(1), []),
            (0.59, None, []),
            (0.6, None, [OpenSession(2)]),
            (1.0, OpenFailed(2), []),
        ],
    )
    assert pool.next_deadline() == 1.2  # twice the first wait
    assert pool.counters.failed == 2


def test_backoff_starts_afresh_after_a_quiet_time() -> None:
    pool = make()
    play(
        pool,
        [
            (0.0, None, [OpenSession(1)]),
            (0.5, OpenFailed(1), []),
            (0.6, None, [OpenSession(2)]),
            (0.8, OpenFailed(2), []),
            (1.0, None, [OpenSession(3)]),
            (1.4, opened(3), []),
            (100.0, SessionClosed(3), [OpenSession(4)]),
            (100.5, OpenFailed(4), []),
        ],
    )
    assert pool.next_deadline() == 100.6


def test_opens_that_fail_together_count_once() -> None:
    pool = make(floor=2)
    pool.expire(now=0.0)
    play(pool, [(0.5, OpenFailed(1), []), (0.55, OpenFailed(2), [])])
    assert pool.next_deadline() == 0.55 + 0.1


def test_retry_after_is_honoured() -> None:
    pool = make()
    play(
        pool,
        [
            (0.0, None, [OpenSession(1)]),
            (0.5, OpenFailed(1, retry_after_s=7.0), []),
            (7.4, None, []),
            (7.5, None, [OpenSession(2)]),
        ],
    )


def test_waiting_is_refused_at_once_when_no_open_may_begin_in_time() -> None:
    capacity = Capacity(50)
    pool = make(capacity)
    pool.expire(now=0.0)
    pool.handle(OpenFailed(1, retry_after_s=7.0), now=0.5)
    refusal = RefuseLease("a", CloseReason.MODEL_UNAVAILABLE)
    play(pool, [(1.0, LeaseRequested("a"), [refusal])])
    assert capacity.in_use == 0


def test_waiting_goes_on_while_an_open_is_under_way() -> None:
    pool = make(floor=2)
    pool.expire(now=0.0)
    pool.handle(OpenFailed(1, retry_after_s=7.0), now=0.5)
    play(
        pool,
        [
            (1.0, LeaseRequested("a"), []),
            (1.5, opened(2), [GrantLease("a", warm=False)]),
        ],
    )


def test_a_lost_session_is_replaced() -> None:
    pool = warm()
    play(pool, [(5.0, SessionClosed(1), [OpenSession(2)])])
    assert pool.counters.closed == 1


def test_a_lost_leased_session_has_a_successor() -> None:
    capacity = Capacity(50)
    pool = warm(capacity, floor=2)
    pool.handle(LeaseRequested("a"), now=1.0)
    play(pool, [(2.0, SessionClosed(1), [OpenSession(4)])])
    assert pool.session_of("a") == 2
    assert capacity.in_use == 1
    play(pool, [(41.0, None, [LeaseVoided("a")])])


def test_a_lost_leased_session_without_successor_voids_the_lease() -> None:
    capacity = Capacity(50)
    pool = warm(capacity)
    pool.handle(LeaseRequested("a"), now=1.0)
    play(pool, [(2.0, SessionClosed(1), [LeaseVoided("a")])])
    assert pool.session_of("a") is None
    assert capacity.in_use == 0


def test_a_session_lost_in_a_call_frees_its_place() -> None:
    capacity = Capacity(50)
    pool = warm(capacity)
    pool.handle(LeaseRequested("a"), now=1.0)
    pool.handle(LeaseRedeemed("a"), now=2.0)
    play(pool, [(3.0, SessionClosed(1), []), (3.0, CallEnded(1), [])])
    assert capacity.in_use == 0


def test_a_session_is_replaced_before_it_is_old() -> None:
    pool = warm(max_warm_age_s=1200.0, replace_lead_s=30.0)
    assert pool.next_deadline() == 1170.0
    play(
        pool,
        [
            (1169.9, None, []),
            (1170.0, None, [OpenSession(2)]),
            (1170.5, opened(2, expires_at=4770.0), [RetireSession(1)]),
        ],
    )


def test_an_ageing_session_may_still_be_lent() -> None:
    pool = warm()
    play(
        pool,
        [
            (1170.0, None, [OpenSession(2)]),
            (
                1170.1,
                LeaseRequested("a"),
                [GrantLease("a", warm=True)],
            ),
        ],
    )


def test_a_session_with_too_little_time_left_is_never_lent() -> None:
    pool = warm(min_call_time_left_s=1800.0)
    pool.expire(now=1170.0)
    assert pool.next_deadline() == 1800.0
    play(
        pool,
        [
            (1799.9, None, []),
            (1800.0, LeaseRequested("a"), [RetireSession(1), OpenSession(3)]),
        ],
    )


def test_a_spent_session_is_not_taken_back() -> None:
    pool = warm(lease_ttl_s=40.0)
    pool.expire(now=1170.0)
    pool.handle(OpenFailed(2, retry_after_s=1000.0), now=1171.0)
    pool.handle(LeaseRequested("a"), now=1799.0)
    play(pool, [(1839.0, None, [LeaseVoided("a"), RetireSession(1)])])


def test_sessions_that_are_born_too_old_do_not_cause_a_storm() -> None:
    pool = make(min_call_time_left_s=1800.0)
    play(
        pool,
        [
            (0.0, None, [OpenSession(1)]),
            (0.5, opened(1, expires_at=1700.0), [RetireSession(1)]),
        ],
    )
    assert pool.next_deadline() == 0.6


def test_drain_refuses_retires_and_opens_nothing() -> None:
    capacity = Capacity(50)
    pool = warm(capacity, floor=2)
    pool.handle(LeaseRequested("a"), now=1.0)
    play(
        pool,
        [
            (2.0, Drained(), [RetireSession(3), RetireSession(2)]),
            (2.1, opened(3), []),
            (2.2, LeaseRequested("b"), [RefuseLease("b", CloseReason.DRAINED)]),
            (2.3, LeaseRedeemed("a"), []),
            (9.0, CallEnded(1), [RetireSession(1)]),
        ],
    )
    assert pool.next_deadline() is None
    assert pool.stock() == PoolStock()
    assert capacity.in_use == 0


def test_drain_refuses_those_who_wait() -> None:
    pool = make()
    pool.expire(now=0.0)
    pool.handle(LeaseRequested("a"), now=0.1)
    refusal = RefuseLease("a", CloseReason.DRAINED)
    play(
        pool,
        [(0.2, Drained(), [refusal, RetireSession(1), RetireSession(2)])],
    )


def test_drain_lets_a_ringing_call_begin_or_go() -> None:
    pool = warm()
    pool.handle(LeaseRequested("a"), now=1.0)
    pool.handle(Drained(), now=2.0)
    play(pool, [(3.0, LeaseReleased("a"), [RetireSession(1)])])


def test_news_of_sessions_that_are_gone_changes_nothing() -> None:
    pool = warm()
    play(
        pool,
        [
            (1.0, SessionClosed(99), []),
            (1.0, OpenFailed(99), []),
            (1.0, CallEnded(99), []),
            (1.0, opened(99), []),
            (1.0, CallEnded(1), []),
        ],
    )
    assert pool.stock() == PoolStock(configured=1)
