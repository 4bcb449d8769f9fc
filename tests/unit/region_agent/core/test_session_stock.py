"""Sessions in stock: those that are old or do not answer any more are replaced."""

from backhaul.core.messages import CloseReason
from region_agent.core.pool_config import Capacity
from region_agent.core.pool_events import (
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
    SessionReport,
)
from region_agent.core.session_ladder import SessionState
from region_agent.core.session_pool import SessionPool
from tests.unit.pool_script import make, opened, play, tell, warm

NO_STOCK = RefuseLease("a", CloseReason.NO_STOCK)


def checked(floor: int = 1) -> SessionPool:
    """Return a filled pool whose sessions are asked again 7 s after each proof."""
    return warm(floor=floor, proof_interval_s=10.0, proof_timeout_s=2.0)


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
    tell(pool, None, now=1170.0)
    assert pool.next_deadline() == 1800.0
    play(
        pool,
        [
            (1799.9, None, []),
            (1800.0, LeaseRequested("a"), [RetireSession(1), NO_STOCK]),
        ],
    )


def test_a_spent_session_is_not_taken_back() -> None:
    pool = warm(lease_ttl_s=40.0)
    tell(pool, None, now=1170.0)
    tell(pool, OpenFailed(2, rate_limited=True, retry_after_s=1000.0), now=1171.0)
    tell(pool, LeaseRequested("a"), now=1799.0)
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


def test_a_session_is_lent_only_after_it_has_proven_that_it_answers() -> None:
    pool = make()
    pool.expire(now=0.0)
    assert ProveSession(1) in pool.handle(opened(1), now=0.4)
    assert pool.stock() == PoolStock(configured=1)
    play(pool, [(0.45, LeaseRequested("a"), [NO_STOCK])])
    tell(pool, ProofGiven(1), now=0.5)
    assert pool.stock() == PoolStock(verified=1)
    assert pool.open_s == 0.5
    assert pool.proof_s == 0.5 - 0.4


def test_a_session_that_never_answers_is_a_zombie_and_not_opened_again_at_once() -> (
    None
):
    pool = make(proof_timeout_s=2.0)
    tell(pool, None, now=0.0)
    tell(pool, opened(1), now=0.5, silent=[1])
    # In doubt after half the time; then another is opened beside it.
    assert pool.next_deadline() == 1.5
    play(pool, [(1.5, None, [OpenSession(2)])], silent=[1, 2])
    tell(pool, opened(2), now=1.6, silent=[2])
    assert pool.next_deadline() == 2.5
    play(pool, [(2.5, None, [RetireSession(1)])])
    assert pool.next_deadline() == 2.6  # the endpoint may give only such sessions
    play(pool, [(2.6, None, [OpenSession(3)])])
    assert pool.counters.zombies == 1
    assert pool.counters.retired == 0


def test_sessions_in_stock_are_asked_again_and_again() -> None:
    pool = checked()
    assert pool.next_deadline() == 7.0
    assert pool.expire(now=7.0) == (ProveSession(1),)
    pool.handle(ProofGiven(1), now=7.01)
    assert pool.next_deadline() == 14.01
    assert pool.stock() == PoolStock(verified=1)
    assert pool.counters.proofs == 2


def test_a_zombie_in_stock_is_replaced_within_the_interval_and_not_lent() -> None:
    pool = checked()
    play(
        pool,
        [
            (7.0, None, []),
            (7.24, None, []),
            (7.25, None, [OpenSession(2)]),
            (7.3, LeaseRequested("a"), [NO_STOCK]),
            (7.8, opened(2), []),
            (8.0, LeaseRequested("b"), [GrantLease("b", warm=True), OpenSession(3)]),
            (9.0, None, [RetireSession(1)]),
        ],
        silent=[1],
    )
    assert pool.session_of("b") == 2
    assert pool.counters.zombies == 1
    assert pool.counters.doubted == 1


def test_a_late_answer_is_an_answer() -> None:
    pool = checked()
    play(
        pool,
        [
            (7.0, None, []),
            (7.25, None, [OpenSession(2)]),
            (7.5, ProofGiven(1), []),
            (7.8, opened(2), [RetireSession(1)]),
        ],
        silent=[1],
    )
    assert pool.stock() == PoolStock(verified=1)


def test_an_answer_nobody_waits_for_changes_nothing() -> None:
    pool = checked()
    assert pool.handle(ProofGiven(1), now=3.0) == ()
    assert pool.next_deadline() == 7.0


def test_a_leased_session_proves_at_once_that_it_still_answers() -> None:
    pool = checked(floor=2)
    play(
        pool,
        [(1.0, LeaseRequested("a"), [GrantLease("a", warm=True), OpenSession(3)])],
        silent=[1],
    )
    assert pool.session_of("a") == 1
    assert pool.next_deadline() == 1.25
    # It does not: the lease moves to one that does, before the call begins.
    play(pool, [(1.25, None, [OpenSession(4)])], silent=[1])
    assert pool.session_of("a") == 2
    assert pool.counters.leases_moved == 1
    play(pool, [(2.0, LeaseRedeemed("a"), []), (3.0, None, [RetireSession(1)])])


def test_a_lease_in_doubt_has_no_session_until_another_is_ready() -> None:
    capacity = Capacity(5)
    pool = warm(capacity, proof_interval_s=10.0)
    play(
        pool,
        [
            (1.0, LeaseRequested("a"), [GrantLease("a", warm=True), OpenSession(2)]),
            (1.25, None, []),
        ],
        silent=[1],
    )
    assert pool.session_of("a") is None
    play(pool, [(1.5, opened(2), [OpenSession(3)])], silent=[1])
    assert pool.session_of("a") == 2
    assert capacity.in_use == 1


def test_a_leased_zombie_without_successor_voids_its_lease() -> None:
    capacity = Capacity(5)
    pool = warm(capacity, proof_interval_s=10.0)
    play(
        pool,
        [
            (1.0, LeaseRequested("a"), [GrantLease("a", warm=True), OpenSession(2)]),
            (1.25, None, []),
            (3.0, None, [RetireSession(1), LeaseVoided("a")]),
        ],
        silent=[1],
    )
    assert capacity.in_use == 0


def test_a_session_that_is_given_back_in_doubt_is_not_lent_again() -> None:
    pool = checked()
    tell(pool, LeaseRequested("a"), now=1.0, silent=[1])
    tell(pool, LeaseReleased("a"), now=1.3, silent=[1])
    assert pool.stock() == PoolStock(connecting=1, configured=1)
    play(pool, [(1.4, LeaseRequested("a"), [NO_STOCK])])


def test_a_call_in_progress_is_not_asked() -> None:
    pool = checked()
    tell(pool, LeaseRequested("a"), now=1.0, silent=[1])
    tell(pool, LeaseRedeemed("a"), now=1.1, silent=[1])
    play(pool, [(60.0, None, [])], silent=[1])
    assert pool.stock() == PoolStock(connecting=1, in_call=1)


def test_a_process_that_stood_still_blames_nobody() -> None:
    pool = checked()
    play(pool, [(7.0, None, []), (9.5, None, [])], silent=[1])
    assert pool.stock() == PoolStock(verified=1)
    # From now on it has the usual time again.
    assert pool.next_deadline() == 9.75
    tell(pool, ProofGiven(1), now=9.6)
    assert pool.stock() == PoolStock(verified=1)


def test_after_a_long_standstill_old_proofs_count_no_more() -> None:
    pool = checked()
    assert pool.handle(LeaseRequested("a"), now=30.0)[1:] == (
        NO_STOCK,
        OpenSession(2),
        ProveSession(1),
    )
    tell(pool, ProofGiven(1), now=30.1)
    assert pool.stock() == PoolStock(connecting=1, verified=1)


def test_drain_retires_who_is_in_doubt_as_well() -> None:
    pool = checked()
    tell(pool, None, now=7.0, silent=[1])
    play(
        pool,
        [
            (7.25, None, [OpenSession(2)]),
            (7.3, Drained(), [*map(RetireSession, (2, 1))]),
        ],
        silent=[1],
    )
    assert pool.stock() == PoolStock()


def test_every_session_tells_its_age_and_its_last_proof() -> None:
    pool = checked()
    tell(pool, LeaseRequested("a"), now=2.0)
    assert pool.reports(now=3.0) == (
        SessionReport(1, SessionState.LEASED, 1.0, 3.0, 1.0),
        SessionReport(2, SessionState.CONNECTING, 1.0, None, None),
    )
