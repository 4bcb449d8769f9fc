"""The pool, told what happens at literal times."""

import random

from backhaul.core.messages import CloseReason
from region_agent.core.open_limiter import OpenLimiter
from region_agent.core.pool_config import Capacity
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
    PoolStock,
    ProofGiven,
    ProveSession,
    RefuseLease,
    RetireSession,
    SessionClosed,
    SessionStateChanged,
    SurgeOrdered,
)
from region_agent.core.session_ladder import SessionState
from tests.unit.pool_script import make, opened, play, tell, warm

NO_STOCK = RefuseLease("a", CloseReason.NO_STOCK)


def test_opens_its_floor_at_birth() -> None:
    pool = make(floor=2)
    assert pool.next_deadline() == 0.0
    play(pool, [(0.0, None, [OpenSession(1), OpenSession(2)]), (0.0, None, [])])
    assert pool.next_deadline() is None
    assert pool.stock() == PoolStock(connecting=2)
    play(pool, [(0.4, opened(1), []), (0.5, opened(2), [])])
    assert pool.stock() == PoolStock(verified=2)
    assert pool.counters.opened == 2


def test_every_change_of_state_is_told() -> None:
    pool = make()
    pool.expire(now=0.0)
    assert pool.handle(opened(1), now=0.4) == (
        SessionStateChanged(
            1, SessionState.CONNECTING, SessionState.CONFIGURED, "opened"
        ),
        ProveSession(1),
    )
    assert pool.handle(ProofGiven(1), now=0.5) == (
        SessionStateChanged(
            1, SessionState.CONFIGURED, SessionState.VERIFIED, "proven"
        ),
    )


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
    assert pool.stock() == PoolStock(connecting=1, verified=1, leased=1)
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
    assert pool.stock() == PoolStock(verified=1, in_call=1)
    assert capacity.in_use == 1
    play(pool, [(60.0, CallEnded(1), [RetireSession(1)])])
    assert capacity.in_use == 0
    assert pool.counters.retired == 1


def test_asking_twice_changes_nothing() -> None:
    capacity = Capacity(50)
    pool = warm(capacity)
    tell(pool, LeaseRequested("a", cold=True), now=1.0)
    again, other = LeaseRequested("a", cold=True), LeaseRequested("b", cold=True)
    play(pool, [(1.1, again, []), (1.2, other, [OpenSession(3)]), (1.3, other, [])])
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
    assert pool.stock() == PoolStock(connecting=1, verified=1)


def test_the_lease_s_end_is_a_deadline() -> None:
    pool = warm()
    tell(pool, LeaseRequested("a"), now=1.0)
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
    assert pool.stock() == PoolStock(verified=1)


def test_without_stock_a_lease_waits_for_a_session_beyond_the_floor() -> None:
    capacity = Capacity(50)
    pool = make(capacity)
    play(
        pool,
        [
            (0.0, None, [OpenSession(1)]),
            (0.1, LeaseRequested("a", cold=True), [OpenSession(2)]),
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
            (0.1, LeaseRequested("a", cold=True), [OpenSession(2)]),
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
    tell(pool, None, now=0.0)
    play(
        pool,
        [
            (0.1, LeaseRequested("a", cold=True), [OpenSession(2)]),
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
            (
                1.0,
                LeaseRequested("a"),
                [GrantLease("a", warm=True), OpenSession(2)],
            ),
            (1.1, LeaseRequested("b", cold=True), [OpenSession(3)]),
            (1.2, LeaseReleased("a"), [GrantLease("b", warm=False)]),
        ],
    )
    assert pool.session_of("b") == 1


def test_beyond_capacity_leases_are_refused() -> None:
    capacity = Capacity(1)
    pool, other = warm(capacity), warm(capacity)
    tell(pool, LeaseRequested("a"), now=1.0)
    refusal = RefuseLease("b", CloseReason.AT_CAPACITY)
    play(other, [(1.0, LeaseRequested("b"), [refusal])])
    tell(pool, LeaseReleased("a"), now=2.0)
    play(
        other,
        [(2.0, LeaseRequested("b"), [GrantLease("b", warm=True), OpenSession(2)])],
    )


def test_waiting_is_refused_at_once_when_no_open_may_begin_in_time() -> None:
    capacity = Capacity(50)
    pool = make(capacity)
    tell(pool, None, now=0.0)
    tell(pool, OpenFailed(1, rate_limited=True, retry_after_s=7.0), now=0.5)
    refusal = RefuseLease("a", CloseReason.MODEL_UNAVAILABLE)
    play(pool, [(1.0, LeaseRequested("a", cold=True), [refusal])])
    assert capacity.in_use == 0


def test_waiting_goes_on_while_an_open_is_under_way() -> None:
    pool = make(floor=2)
    tell(pool, None, now=0.0)
    tell(pool, OpenFailed(1, rate_limited=True, retry_after_s=7.0), now=0.5)
    play(
        pool,
        [
            (1.0, LeaseRequested("a", cold=True), []),
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
    tell(pool, LeaseRequested("a"), now=1.0)
    play(pool, [(2.0, SessionClosed(1), [OpenSession(4)])])
    assert pool.session_of("a") == 2
    assert capacity.in_use == 1
    play(pool, [(41.0, None, [LeaseVoided("a")])])


def test_a_lost_leased_session_without_successor_voids_the_lease() -> None:
    capacity = Capacity(50)
    pool = warm(capacity)
    tell(pool, LeaseRequested("a"), now=1.0)
    play(pool, [(2.0, SessionClosed(1), [LeaseVoided("a")])])
    assert pool.session_of("a") is None
    assert capacity.in_use == 0


def test_a_session_lost_in_a_call_frees_its_place() -> None:
    capacity = Capacity(50)
    pool = warm(capacity)
    tell(pool, LeaseRequested("a"), now=1.0)
    tell(pool, LeaseRedeemed("a"), now=2.0)
    play(pool, [(3.0, SessionClosed(1), []), (3.0, CallEnded(1), [])])
    assert capacity.in_use == 0


def test_drain_refuses_retires_and_opens_nothing() -> None:
    capacity = Capacity(50)
    pool = warm(capacity, floor=2)
    tell(pool, LeaseRequested("a"), now=1.0)
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
    tell(pool, None, now=0.0)
    tell(pool, LeaseRequested("a", cold=True), now=0.1)
    refusal = RefuseLease("a", CloseReason.DRAINED)
    play(
        pool,
        [(0.2, Drained(), [refusal, RetireSession(1), RetireSession(2)])],
    )


def test_drain_lets_a_ringing_call_begin_or_go() -> None:
    pool = warm()
    tell(pool, LeaseRequested("a"), now=1.0)
    tell(pool, Drained(), now=2.0)
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
    assert pool.stock() == PoolStock(verified=1)


def test_without_stock_a_lease_that_must_be_warm_is_refused_at_once() -> None:
    capacity = Capacity(50)
    pool = make(capacity)
    play(
        pool,
        [
            (0.0, None, [OpenSession(1)]),
            (0.1, LeaseRequested("a"), [NO_STOCK]),
            (0.4, opened(1), []),
            (0.5, LeaseRequested("a"), [GrantLease("a", warm=True), OpenSession(2)]),
        ],
    )
    assert capacity.in_use == 1


def test_who_drains_says_so_even_at_capacity() -> None:
    pool = warm(Capacity(0))
    tell(pool, Drained(), now=1.0)
    refusal = RefuseLease("a", CloseReason.DRAINED)
    play(pool, [(2.0, LeaseRequested("a"), [refusal])])


def test_a_busy_profile_keeps_more_than_its_floor() -> None:
    pool = warm(max_stock=50)
    for number in range(20):
        now = 1.0 + number
        tell(pool, LeaseRequested(f"{number}"), now=now)
        tell(pool, LeaseRedeemed(f"{number}"), now=now)
        for session in range(1, 100):
            tell(pool, opened(session), now=now + 0.5)
    # 20 calls in the last minute and 0.4 s to refill.
    assert pool.demand.target == 3
    assert pool.stock().verified == 3


def test_a_surge_opens_more_and_lets_them_go_when_it_ends() -> None:
    pool = warm(floor=2, max_stock=9)
    play(
        pool,
        [
            (10.0, SurgeOrdered(1.5, length_s=300.0), [OpenSession(3)]),
            (10.5, opened(3), []),
        ],
    )
    assert pool.next_deadline() == 310.0
    assert len(tell(pool, None, now=310.0)) == 1
    assert pool.stock().verified == 2
    assert pool.next_deadline() != 310.0


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


def test_refills_behind_calls_that_come_together() -> None:
    pool = warm(floor=4, refill_after_s=1.0)
    play(
        pool,
        [
            (10.0, LeaseRequested("a"), [GrantLease("a", warm=True)]),
            (10.2, LeaseRequested("b"), [GrantLease("b", warm=True)]),
            (10.9, None, []),
        ],
    )
    assert pool.next_deadline() == 11.0
    play(pool, [(11.0, None, [OpenSession(5), OpenSession(6)])])


def test_half_of_the_stock_is_refilled_at_once() -> None:
    pool = warm(floor=3, refill_after_s=1.0)
    first, second, third = (GrantLease(name, warm=True) for name in "abc")
    play(
        pool,
        [
            (10.0, LeaseRequested("a"), [first]),
            (10.1, LeaseRequested("b"), [second, OpenSession(4)]),
            (10.2, LeaseRequested("c"), [third, OpenSession(5)]),
            # Who waits for a session is no matter of stock.
            (10.3, LeaseRequested("d", cold=True), [OpenSession(6)]),
            (10.9, None, []),
            # Calls that go on coming put it off no further.
            (11.0, None, [OpenSession(7)]),
        ],
    )


def test_urgent_opens_wait_for_their_turn_only() -> None:
    pool = warm(floor=2, refill_after_s=1.0, opens_per_s=2.0)
    tell(pool, LeaseRequested("a"), now=0.1)
    assert pool.next_deadline() == 1.1
    play(pool, [(0.2, LeaseRequested("b"), [GrantLease("b", warm=True)])])
    assert pool.next_deadline() == 0.5


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
    tell(pool, None, now=0.0)
    play(pool, [(0.5, OpenFailed(1), []), (0.55, OpenFailed(2), [])])
    assert pool.next_deadline() == 0.55 + 0.1


def test_retry_after_is_honoured() -> None:
    pool = make()
    play(
        pool,
        [
            (0.0, None, [OpenSession(1)]),
            (0.5, OpenFailed(1, rate_limited=True, retry_after_s=7.0), []),
            (7.4, None, []),
            (7.5, None, [OpenSession(2)]),
        ],
    )


def test_a_rate_limit_keeps_all_pools_of_the_agent_waiting() -> None:
    limiter = OpenLimiter(opens_per_s=10.0, rng=random.Random(1), now=0.0)
    limited, other = make(limiter=limiter), make(limiter=limiter)
    tell(limited, None, now=0.0)
    tell(limited, OpenFailed(1, rate_limited=True, retry_after_s=7.0), now=0.5)
    play(other, [(0.6, None, []), (7.4, None, []), (7.5, None, [OpenSession(1)])])
    # After it they open one by one.
    assert limited.next_deadline() == 7.6
