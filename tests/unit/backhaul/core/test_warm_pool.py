"""What a warm pool opens, lends, replaces and retires, as scripts in literal times."""

import math
import random

from backhaul.core.backoff import Backoff
from backhaul.core.warm_pool import WarmPool
from backhaul.core.warm_pool_events import (
    CloseConnection,
    ConnectionLost,
    ConnectionOpened,
    ConnectionReleased,
    ConnectionRequested,
    ConnectionSpent,
    Drained,
    LendConnection,
    OpenConnection,
    OpenFailed,
    RefuseRequest,
    UsesChanged,
    WarmPoolAction,
    WarmPoolConfig,
    WarmPoolEvent,
    WarmPoolStock,
)

Step = tuple[float, WarmPoolEvent | None, list[WarmPoolAction]]

CONFIG = WarmPoolConfig(
    floor=1,
    max_connections=3,
    max_concurrent_opens=2,
    max_age_s=100.0,
    max_idle_s=40.0,
    backoff=Backoff(first_s=1.0),
)


class Latest(random.Random):
    """Chance that never shortens a limit, nor a wait below its half."""

    def random(self) -> float:
        return 0.0


def pool_of(config: WarmPoolConfig = CONFIG) -> WarmPool:
    return WarmPool(config=config, rng=Latest(), now=0.0)


def play(pool: WarmPool, *steps: Step) -> None:
    """Feed events at their times; None stands for a timer that fires."""
    for now, event, wanted in steps:
        if event is None:
            assert list(pool.expire(now=now)) == wanted, (now, event)
        else:
            assert list(pool.handle(event, now=now)) == wanted, (now, event)


def warm(config: WarmPoolConfig = CONFIG, *, max_uses: int = 1) -> WarmPool:
    """Return a pool whose first connection is open since 0 s."""
    pool = pool_of(config)
    play(
        pool,
        (0.0, None, [OpenConnection(1)]),
        (0.0, ConnectionOpened(1, max_uses), []),
    )
    return pool


def test_it_opens_floor_and_headroom_a_few_at_a_time() -> None:
    pool = pool_of(WarmPoolConfig(floor=2, headroom=1, max_concurrent_opens=2))
    play(
        pool,
        (0.0, None, [OpenConnection(1), OpenConnection(2)]),
        (0.1, ConnectionOpened(2), [OpenConnection(3)]),
        (0.2, ConnectionOpened(1), []),
        (0.3, ConnectionOpened(3), []),
        (0.4, None, []),
    )
    assert pool.stock() == WarmPoolStock(
        opening=0, ready=3, in_use=0, draining=0, uses=0
    )
    assert pool.counters.opened == 3


def test_a_request_gets_an_open_connection_and_another_takes_its_place() -> None:
    pool = warm()
    play(
        pool,
        (1.0, ConnectionRequested(7), [LendConnection(7, 1), OpenConnection(2)]),
        (1.1, ConnectionOpened(2), []),
        (1.2, ConnectionReleased(1), []),
        (1.3, ConnectionRequested(8), [LendConnection(8, 1)]),
    )
    assert (pool.counters.reused, pool.counters.cold) == (2, 0)
    assert pool.stock() == WarmPoolStock(
        opening=0, ready=1, in_use=1, draining=0, uses=1
    )


def test_a_shared_connection_serves_as_many_requests_as_it_may() -> None:
    pool = warm(max_uses=2)
    play(
        pool,
        (1.0, ConnectionRequested(7), [LendConnection(7, 1)]),
        (1.0, ConnectionRequested(8), [LendConnection(8, 1), OpenConnection(2)]),
        (1.1, ConnectionReleased(1), []),
        (1.2, ConnectionRequested(9), [LendConnection(9, 1)]),
    )
    assert pool.stock().uses == 2


def test_a_request_without_stock_gets_an_open_of_its_own() -> None:
    pool = pool_of()
    play(
        pool,
        (0.0, None, [OpenConnection(1)]),
        (0.0, ConnectionRequested(7), [OpenConnection(2, ticket=7)]),
        (0.1, ConnectionOpened(2), []),
        (0.2, ConnectionOpened(1), []),
        (0.3, ConnectionReleased(2), []),
    )
    assert (pool.counters.reused, pool.counters.cold) == (0, 1)
    assert pool.stock().ready == 2


def test_requests_beyond_the_limit_are_refused() -> None:
    pool = pool_of()
    play(
        pool,
        (0.0, None, [OpenConnection(1)]),
        (0.0, ConnectionRequested(7), [OpenConnection(2, ticket=7)]),
        (0.0, ConnectionRequested(8), [OpenConnection(3, ticket=8)]),
        (0.0, ConnectionRequested(9), [RefuseRequest(9)]),
    )
    assert pool.counters.exhausted == 1


def test_an_open_that_its_request_gave_up_goes_into_stock() -> None:
    pool = pool_of()
    play(
        pool,
        (0.0, ConnectionRequested(7), [OpenConnection(1, ticket=7), OpenConnection(2)]),
        (0.1, ConnectionReleased(1), []),
        (0.2, ConnectionOpened(1), []),
        (0.3, ConnectionRequested(8), [LendConnection(8, 1)]),
    )


def test_an_old_connection_is_retired_when_its_replacement_is_there() -> None:
    pool = warm(WarmPoolConfig(floor=1, max_age_s=100.0, max_idle_s=1000.0))
    assert pool.next_deadline() == 100.0
    play(
        pool,
        (99.9, None, []),
        (100.0, None, [OpenConnection(2)]),
        (100.1, ConnectionRequested(7), [LendConnection(7, 1)]),
        (100.2, ConnectionReleased(1), []),
        (100.3, ConnectionOpened(2), [CloseConnection(1)]),
    )
    assert pool.next_deadline() == 200.3
    assert pool.counters.retired == 1


def test_an_idle_connection_is_replaced_unless_a_request_wakes_it() -> None:
    pool = warm()
    play(
        pool,
        (39.0, ConnectionRequested(7), [LendConnection(7, 1), OpenConnection(2)]),
        (39.0, ConnectionReleased(1), []),
        (39.5, ConnectionOpened(2), []),
        (78.9, None, []),
        # The surplus one has grown idle and goes, no replacement needed.
        (79.0, None, [CloseConnection(1)]),
        (79.5, None, [OpenConnection(3)]),
        (79.6, ConnectionRequested(8), [LendConnection(8, 2)]),
        (79.7, ConnectionReleased(2), []),
        (79.8, ConnectionOpened(3), []),
    )
    assert pool.stock().ready == 2


def test_an_old_shared_connection_drains_when_its_replacement_is_there() -> None:
    pool = warm(max_uses=9)
    play(
        pool,
        (99.0, ConnectionRequested(7), [LendConnection(7, 1)]),
        (100.0, None, [OpenConnection(2)]),
        (100.1, ConnectionOpened(2, 9), []),
    )
    assert pool.stock().draining == 1
    play(pool, (110.0, ConnectionReleased(1), [CloseConnection(1)]))


def test_a_full_connection_grows_old_too() -> None:
    pool = warm(max_uses=2)
    play(
        pool,
        (98.0, ConnectionRequested(7), lent(7, 1)),
        (98.1, ConnectionRequested(8), lent(8, 1, OpenConnection(2))),
        (98.2, ConnectionOpened(2, 2), []),
    )
    assert pool.stock() == WarmPoolStock(0, 1, 1, 0, uses=2)
    assert pool.next_deadline() == 100.0
    play(pool, (100.0, None, []))
    assert pool.stock().draining == 1
    play(
        pool,
        (100.1, ConnectionReleased(1), []),
        (100.2, ConnectionReleased(1), [CloseConnection(1)]),
    )


def test_a_full_connection_stays_while_its_users_have_nowhere_to_go() -> None:
    pool = warm()
    play(
        pool,
        (99.0, ConnectionRequested(7), lent(7, 1, OpenConnection(2))),
        (100.0, None, []),
    )
    assert pool.stock().draining == 0
    play(pool, (100.5, ConnectionOpened(2), []))
    assert pool.stock() == WarmPoolStock(0, 1, 0, 1, uses=1)
    play(pool, (101.0, ConnectionReleased(1), [CloseConnection(1)]))


def test_what_is_not_lent_for_now_does_not_grow_old() -> None:
    pool = warm()
    play(
        pool,
        (99.0, UsesChanged(1, 0), [OpenConnection(2)]),
        (99.1, ConnectionOpened(2), []),
    )
    assert pool.next_deadline() == 139.1
    play(pool, (100.0, None, []), (100.1, UsesChanged(1, 1), [CloseConnection(1)]))


def test_a_connection_that_failed_its_user_is_never_lent_again() -> None:
    pool = warm(max_uses=3)
    play(
        pool,
        (1.0, ConnectionRequested(7), [LendConnection(7, 1)]),
        (1.0, ConnectionRequested(8), [LendConnection(8, 1)]),
        (1.1, ConnectionReleased(1, reusable=False), [OpenConnection(2)]),
        (1.2, ConnectionRequested(9), [OpenConnection(3, ticket=9)]),
        (1.3, ConnectionReleased(1), [CloseConnection(1)]),
    )
    assert pool.counters.retired == 1


def test_a_lost_connection_is_replaced_at_once() -> None:
    pool = warm()
    play(
        pool,
        (5.0, ConnectionLost(1), [OpenConnection(2)]),
        (5.1, ConnectionLost(1), []),
        (5.2, ConnectionOpened(2), []),
    )
    assert (pool.counters.lost, pool.counters.retired) == (1, 0)
    assert (pool.counters.opened, pool.counters.reopened) == (2, 1)


def test_a_connection_lost_in_use_is_gone_for_its_user_too() -> None:
    pool = warm()
    play(
        pool,
        (0.1, ConnectionRequested(7), [LendConnection(7, 1), OpenConnection(2)]),
        (0.2, ConnectionLost(1), []),
        (0.3, ConnectionReleased(1, reusable=False), []),
    )
    assert pool.stock().uses == 0


def test_a_connection_that_the_peer_winds_up_serves_those_it_has() -> None:
    pool = warm(max_uses=5)
    play(
        pool,
        (0.1, ConnectionRequested(7), [LendConnection(7, 1)]),
        (0.2, ConnectionSpent(1), [OpenConnection(2)]),
        (0.3, ConnectionOpened(2, 5), []),
        (0.4, ConnectionRequested(8), [LendConnection(8, 2)]),
        (0.5, ConnectionReleased(1), [CloseConnection(1)]),
        (0.6, ConnectionReleased(2), []),
        (0.7, ConnectionSpent(2), [CloseConnection(2), OpenConnection(3)]),
    )


def test_failed_opens_back_off_and_requests_still_try() -> None:
    pool = pool_of()
    play(
        pool,
        (0.0, None, [OpenConnection(1)]),
        (0.0, OpenFailed(1), []),
        (0.4, None, []),
        (0.4, ConnectionRequested(7), [OpenConnection(2, ticket=7)]),
        (0.4, OpenFailed(2), []),
        (0.5, ConnectionReleased(2), []),
        (0.9, None, [OpenConnection(3)]),
        (1.0, OpenFailed(3), []),
    )
    assert pool.next_deadline() == 2.0, "the second wait is the longer one"
    assert pool.counters.failures == 3


def test_the_backoff_starts_anew_after_a_quiet_while() -> None:
    pool = pool_of()
    play(
        pool,
        (0.0, None, [OpenConnection(1)]),
        (0.0, OpenFailed(1), []),
        (0.5, None, [OpenConnection(2)]),
        (0.6, ConnectionOpened(2), []),
        (31.0, ConnectionLost(2), [OpenConnection(3)]),
        (31.0, OpenFailed(3), []),
    )
    assert pool.next_deadline() == 31.5


def test_a_peer_that_closes_at_once_is_not_dialled_in_a_circle() -> None:
    pool = warm()
    play(pool, (0.1, ConnectionLost(1), []))
    assert pool.next_deadline() == 0.6
    play(pool, (0.6, None, [OpenConnection(2)]))


def test_draining_ends_what_is_idle_and_lets_the_rest_finish() -> None:
    pool = pool_of(WarmPoolConfig(floor=2, max_connections=9))
    play(
        pool,
        (0.0, None, [OpenConnection(1), OpenConnection(2)]),
        (0.0, ConnectionOpened(1, 5), []),
        (0.1, ConnectionRequested(6), [LendConnection(6, 1)]),
        (0.2, ConnectionRequested(7), [LendConnection(7, 1)]),
        (0.3, ConnectionReleased(1), []),
    )
    play(
        pool,
        (0.4, Drained(), [CloseConnection(2)]),
        (0.5, ConnectionRequested(8), [RefuseRequest(8)]),
        (0.6, ConnectionReleased(1), [CloseConnection(1)]),
    )
    assert pool.stock() == WarmPoolStock(0, 0, 0, 0, 0)
    assert pool.counters.exhausted == 0
    assert pool.next_deadline() is None


def test_an_open_that_a_request_waits_for_outlives_draining() -> None:
    pool = pool_of()
    play(
        pool,
        (0.0, ConnectionRequested(7), [OpenConnection(1, ticket=7), OpenConnection(2)]),
        (0.1, Drained(), [CloseConnection(2)]),
        (0.2, ConnectionOpened(1, 5), []),
        (0.3, ConnectionRequested(8), [RefuseRequest(8)]),
        (0.4, ConnectionReleased(1), [CloseConnection(1)]),
    )
    given_up = pool_of()
    play(
        given_up,
        (0.0, ConnectionRequested(7), [OpenConnection(1, ticket=7), OpenConnection(2)]),
        (0.1, Drained(), [CloseConnection(2)]),
        (0.2, ConnectionReleased(1), []),
        (0.3, ConnectionOpened(1), [CloseConnection(1)]),
    )


def test_reports_about_connections_that_are_open_already_change_nothing() -> None:
    pool = warm()
    play(
        pool,
        (0.1, OpenFailed(1), []),
        (0.1, ConnectionOpened(1, 9), []),
        (0.1, ConnectionReleased(1), []),
        (0.1, ConnectionReleased(99), []),
    )
    assert (pool.counters.opened, pool.counters.failures) == (1, 0)


def test_stale_connections_go_although_no_replacement_may_be_opened() -> None:
    pool = warm()
    play(
        pool,
        (1.0, ConnectionRequested(7), [LendConnection(7, 1), OpenConnection(2)]),
        (1.0, ConnectionRequested(8), [OpenConnection(3, ticket=8)]),
        (1.0, ConnectionOpened(2), []),
        (1.0, ConnectionOpened(3), []),
        (1.0, ConnectionReleased(1), []),
        (1.0, ConnectionReleased(3), []),
        (
            41.0,
            None,
            [CloseConnection(3), CloseConnection(1), OpenConnection(4)],
        ),
    )


def test_a_request_that_cannot_wait_is_refused_instead() -> None:
    pool = pool_of()
    play(
        pool,
        (0.0, None, [OpenConnection(1)]),
        (0.1, ConnectionRequested(7, may_open=False), [RefuseRequest(7)]),
        (0.2, ConnectionRequested(8, may_open=False, may_crowd=True), refused(8)),
        (0.3, ConnectionOpened(1), []),
        (0.4, ConnectionRequested(9, may_open=False), lent(9, 1, OpenConnection(2))),
    )
    assert (pool.counters.exhausted, pool.counters.cold) == (2, 0)


def test_a_request_may_crowd_the_emptiest_connection() -> None:
    pool = pool_of(WarmPoolConfig(floor=2, max_connections=2))
    play(
        pool,
        (0.0, None, [OpenConnection(1), OpenConnection(2)]),
        (0.1, ConnectionOpened(1, 1), []),
        (0.1, ConnectionOpened(2, 2), []),
        (0.2, UsesChanged(2, 1), []),
        (0.2, ConnectionRequested(6, may_open=False), lent(6, 1)),
        (0.2, ConnectionRequested(7, may_open=False), lent(7, 2)),
        (0.3, UsesChanged(2, 4), []),
        (0.3, UsesChanged(1, 0), []),
        (0.4, UsesChanged(2, 1), []),
        (0.5, ConnectionRequested(8, may_open=False, may_crowd=True), lent(8, 2)),
        (0.6, ConnectionReleased(2), []),
        (0.6, ConnectionReleased(2), []),
        (0.6, ConnectionReleased(1), []),
    )
    assert pool.counters.exhausted == 1
    assert pool.stock() == WarmPoolStock(0, 2, 0, 0, 0)


def test_a_request_may_name_the_connections_that_would_do() -> None:
    pool = pool_of(WarmPoolConfig(floor=2, max_connections=2))
    play(
        pool,
        (0.0, None, [OpenConnection(1), OpenConnection(2)]),
        (0.1, ConnectionOpened(1, 1), []),
        (0.1, ConnectionOpened(2, 1), []),
        (0.2, ConnectionRequested(6, may_open=False, among=(2,)), lent(6, 2)),
        (0.3, ConnectionRequested(7, may_open=False, among=(2,)), refused(7)),
        (
            0.4,
            ConnectionRequested(8, may_open=False, may_crowd=True, among=(2,)),
            lent(8, 2),
        ),
        (
            0.5,
            ConnectionRequested(9, may_open=False, may_crowd=True, among=()),
            refused(9),
        ),
    )


def test_what_is_not_lent_for_now_is_replaced_and_may_come_back() -> None:
    pool = warm(max_uses=5)
    play(
        pool,
        (1.0, UsesChanged(1, 0), [OpenConnection(2)]),
    )
    assert pool.lendable() == ()
    play(
        pool,
        (1.1, ConnectionRequested(6, may_open=False), refused(6)),
        (1.2, ConnectionOpened(2, 5), []),
        (1.3, UsesChanged(1, 5), []),
        (1.3, UsesChanged(99, 5), []),
    )
    assert pool.lendable() == (1, 2)
    play(pool, (1.4, ConnectionRequested(7, may_open=False), lent(7, 2)))
    assert pool.stock().ready == 1


def test_fewer_uses_leave_those_it_has_and_open_another() -> None:
    pool = warm(max_uses=9)
    play(
        pool,
        (1.0, ConnectionRequested(6), lent(6, 1)),
        (1.0, ConnectionRequested(7), lent(7, 1)),
        (2.0, UsesChanged(1, 1), [OpenConnection(2)]),
        (2.1, ConnectionOpened(2, 1), []),
        (2.2, ConnectionReleased(1), []),
        (2.3, ConnectionRequested(8), [LendConnection(8, 2), OpenConnection(3)]),
    )
    assert pool.stock().uses == 2


def test_packed_connections_are_filled_one_after_the_other() -> None:
    pool = pool_of(WarmPoolConfig(floor=1, headroom=1, packed=True))
    play(
        pool,
        (0.0, None, [OpenConnection(1), OpenConnection(2)]),
        (0.1, ConnectionOpened(1, 2), []),
        (0.1, ConnectionOpened(2, 2), []),
        (0.2, ConnectionRequested(6), lent(6, 1)),
        (0.3, ConnectionRequested(7), lent(7, 1, OpenConnection(3))),
        (0.4, ConnectionRequested(8), lent(8, 2)),
    )


def test_without_an_idle_limit_only_age_replaces() -> None:
    pool = warm(WarmPoolConfig(floor=1, max_age_s=100.0, max_idle_s=math.inf))
    assert pool.next_deadline() == 100.0
    assert {state.value for state in pool.states().values()} == {"ready"}


def lent(ticket: int, number: int, *more: WarmPoolAction) -> list[WarmPoolAction]:
    return [LendConnection(ticket, number), *more]


def refused(ticket: int) -> list[WarmPoolAction]:
    return [RefuseRequest(ticket)]
