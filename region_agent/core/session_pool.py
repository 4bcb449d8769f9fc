"""Decides which sessions to open, prove, lend, replace and retire, for one profile.

The shell performs the actions and reports back: after `OpenSession` exactly one of
`SessionOpened` and `OpenFailed` must follow, unless `RetireSession` came first; after
`ProveSession`, `ProofGiven` if the session answers.
"""

import math
from typing import TYPE_CHECKING, Final

from backhaul.core.messages import CloseReason
from region_agent.core.open_limiter import FailurePause, OpenLimiter
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
    PoolAction,
    PoolCounters,
    PoolEvent,
    PoolStock,
    ProofGiven,
    RefuseLease,
    SessionClosed,
    SessionOpened,
    SessionReport,
    SurgeOrdered,
)
from region_agent.core.session_ladder import SessionInput, SessionState
from region_agent.core.session_stock import PooledSession, SessionStock
from region_agent.core.stock_demand import StockDemand

if TYPE_CHECKING:
    from random import Random

__all__ = ["SessionPool"]

_STALL_S: Final = 0.1
"""A timer this late (s) tells that the process stood still: answers wait unread."""


class SessionPool:
    """Keeps verified sessions of one profile ready; a `Machine`.

    Attributes:
        counters: What it did so far.
        demand: What it is asked for, and its target.
        draining: Whether it lends no more.
    """

    def __init__(
        self,
        *,
        config: PoolConfig,
        capacity: Capacity,
        limiter: OpenLimiter,
        rng: "Random",
        now: float,
    ) -> None:
        self.counters = PoolCounters()
        self.demand = StockDemand(config)
        self.draining = False
        self._config = config
        self._capacity = capacity
        self._limiter = limiter
        self._stock = SessionStock(
            config, capacity=capacity, counters=self.counters, rng=rng
        )
        self._pause = FailurePause(backoff=config.backoff, rng=rng, now=now)
        self._waiting: dict[str, float] = {}
        self._refill_at = now
        """Before this, sessions are opened only for calls, and for half of the stock.

        An open costs milliseconds of handshake, and calls that come together would
        each wait for the sessions that replace those of the others.
        """

    def stock(self) -> PoolStock:
        """Return how many sessions stand where."""
        return self._stock.counts()

    def reports(self, *, now: float) -> tuple[SessionReport, ...]:
        """Return where each session stands, oldest first."""
        return self._stock.reports(now=now)

    @property
    def open_s(self) -> float:
        """How long it takes to open a session (s), its first proof included."""
        return self._stock.open_time.value

    @property
    def proof_s(self) -> float:
        """How long a session takes to prove that it answers (s); 0: none did yet."""
        return self._stock.proof_time_s

    def session_of(self, lease_id: str) -> int | None:
        """Return the session reserved by *lease_id*.

        None for an unknown lease, and while it is in doubt that the session answers.
        """
        session = self._stock.leased(lease_id)
        return None if session is None or session.doubted else session.number

    def handle(self, event: PoolEvent, *, now: float) -> tuple[PoolAction, ...]:
        """Take note of *event*; see `backhaul.core.machine.Machine`."""
        self._begin(now)
        match event:
            case LeaseRequested(lease_id, cold):
                self._on_requested(lease_id, now, cold=cold)
            case LeaseReleased(lease_id):
                self._on_released(lease_id, now)
            case LeaseRedeemed(lease_id):
                self._apply_to_lease(lease_id, SessionInput.REDEEMED, now)
            case SurgeOrdered(factor, length_s):
                self.demand.surge.order(factor, until=now + length_s)
            case Drained():
                self._on_drained(now)
            case _:
                self._on_session_event(event, now)
        return self._settle(now)

    def next_deadline(self) -> float | None:
        """Return when `expire` wants to be called; see Machine."""
        surge_ends_at = self.demand.surge.ends_at
        deadlines = [
            *self._waiting.values(),
            self._stock.next_deadline(),
            surge_ends_at,
        ]
        if self._missing > 0 and self._may_connect() > 0:
            may_open_at = max(self._pause.again_at, self._limiter.ready_at)
            needed_at = -math.inf if self._urgent > 0 else self._refill_at
            deadlines.append(max(may_open_at, needed_at))
        deadline = min(deadlines)
        return None if deadline == float("inf") else deadline

    def expire(self, *, now: float) -> tuple[PoolAction, ...]:
        """Return what is due at *now*; see Machine."""
        self._begin(now)
        for lease_id, ends_at in list(self._waiting.items()):
            if now >= ends_at:
                self._refuse_waiting(lease_id, CloseReason.MODEL_UNAVAILABLE)
        for session in self._stock.standing(SessionState.LEASED):
            if now >= session.lease_ends_at:
                self.counters.leases_expired += 1
                self._stock.apply(session, SessionInput.RETURNED, now=now)
                self._stock.actions.append(LeaseVoided(session.lease_id))
        return self._settle(now)

    # Leases

    def _on_requested(self, lease_id: str, now: float, *, cold: bool) -> None:
        if lease_id in self._waiting or self._stock.leased(lease_id) is not None:
            return  # asked twice: the first answer stands
        if self.draining:
            self._refuse(lease_id, CloseReason.DRAINED)
            return
        self.demand.arrivals.add(now=now)
        session = self._stock.oldest()
        if self._capacity.in_use >= self._capacity.limit:
            self._refuse(lease_id, CloseReason.AT_CAPACITY)
        elif session is not None:
            self._capacity.try_acquire()
            self._grant(session, lease_id, now, warm=True)
            if now >= self._refill_at:
                self._refill_at = now + self._config.refill_after_s
        elif cold:
            self._capacity.try_acquire()
            self._wait_for_session(lease_id, now)
        else:
            self._refuse(lease_id, CloseReason.NO_STOCK)

    def _wait_for_session(self, lease_id: str, now: float) -> None:
        ends_at = now + self._config.lease_wait_s
        opens_at = max(self._pause.again_at, self._limiter.paused_until)
        self._waiting[lease_id] = ends_at
        if opens_at >= ends_at and not self._stock.coming():
            self._refuse_waiting(lease_id, CloseReason.MODEL_UNAVAILABLE)

    def _grant(
        self, session: PooledSession, lease_id: str, now: float, *, warm: bool
    ) -> None:
        if warm:
            self.counters.warm_grants += 1
        else:
            self.counters.cold_grants += 1
        ends_at = now + self._config.lease_ttl_s
        self._stock.lend(session, lease_id, ends_at=ends_at, now=now)
        self._stock.actions.append(GrantLease(lease_id, warm))

    def _refuse(self, lease_id: str, reason: CloseReason) -> None:
        self.counters.refused += 1
        self._stock.actions.append(RefuseLease(lease_id, reason))

    def _refuse_waiting(self, lease_id: str, reason: CloseReason) -> None:
        del self._waiting[lease_id]
        self._capacity.release()
        self._refuse(lease_id, reason)

    def _on_released(self, lease_id: str, now: float) -> None:
        if self._waiting.pop(lease_id, None) is not None:
            self._capacity.release()
        self._apply_to_lease(lease_id, SessionInput.RETURNED, now)

    def _apply_to_lease(self, lease_id: str, given: SessionInput, now: float) -> None:
        session = self._stock.leased(lease_id)
        if session is not None:
            self._stock.apply(session, given, now=now)

    def _leave(self, session: PooledSession, given: SessionInput, now: float) -> None:
        """Take a session from where it stands; its lease goes to another, if any.

        A lease promises some session, so that another may stand in for it.
        """
        was_leased = session.state is SessionState.LEASED
        self._stock.apply(session, given, now=now)
        if not was_leased:
            return
        successor = self._stock.oldest()
        if successor is None:
            self._stock.actions.append(LeaseVoided(session.lease_id))
            return
        self.counters.leases_moved += 1
        self._capacity.retake()
        self._stock.lend(
            successor, session.lease_id, ends_at=session.lease_ends_at, now=now
        )

    # Sessions

    def _on_drained(self, now: float) -> None:
        self.draining = True
        for lease_id in list(self._waiting):
            self._refuse_waiting(lease_id, CloseReason.DRAINED)
        self._stock.discard(self._stock.standing(SessionState.CONNECTING), now=now)

    def _on_session_event(
        self,
        event: SessionOpened | OpenFailed | ProofGiven | SessionClosed | CallEnded,
        now: float,
    ) -> None:
        session = self._stock.get(event.session)
        if session is None:
            return  # it was retired meanwhile
        match event:
            case SessionOpened(expires_at=expires_at):
                if not self._stock.opened(session, expires_at, now=now):
                    # Born too old: opening another at once would only repeat it.
                    self._pause.fail(now=now)
            case OpenFailed():
                self._on_open_failed(session, event, now)
            case ProofGiven():
                if self._stock.proven(session, now=now):
                    self.demand.refilled(now=now)
            case SessionClosed():
                self.counters.closed += 1
                self._leave(session, SessionInput.CLOSED, now)
            case _:
                self._stock.apply(session, SessionInput.CALL_ENDED, now=now)

    def _on_open_failed(
        self, session: PooledSession, failure: OpenFailed, now: float
    ) -> None:
        if failure.rate_limited:
            self._limiter.refuse(failure.retry_after_s, now=now)
        else:
            self._pause.fail(now=now)
        self.counters.failed += 1
        self._stock.apply(session, SessionInput.OPEN_FAILED, now=now)

    # What every event begins and ends with

    def _begin(self, now: float) -> None:
        due = self.next_deadline()
        if due is not None and now - due > _STALL_S:
            self._stock.excuse(now=now)
        self._stock.refresh(now=now)

    def _settle(self, now: float) -> tuple[PoolAction, ...]:
        self._stock.refresh(now=now)
        self._retire_silent(now)
        self._move_doubtful_leases(now)
        self._serve_waiting(now)
        self.demand.settle(self.stock().verified, now=now)
        self._retire_surplus(now)
        self._open_missing(now)
        self._stock.ask(now=now)
        actions, self._stock.actions = tuple(self._stock.actions), []
        return actions

    def _retire_silent(self, now: float) -> None:
        for session in self._stock.silent(now=now):
            self.counters.zombies += 1
            if session.proof.given_at is None:
                self._pause.fail(now=now)  # the next one may be born dead as well
            self._leave(session, SessionInput.SILENT, now)

    def _move_doubtful_leases(self, now: float) -> None:
        for session in self._stock.standing(SessionState.LEASED):
            if session.doubted and self._stock.oldest() is not None:
                self._leave(session, SessionInput.RETURNED, now)
                self._stock.apply(session, SessionInput.DOUBTED, now=now)

    def _serve_waiting(self, now: float) -> None:
        for lease_id in list(self._waiting):
            session = self._stock.oldest()
            if session is None:
                return
            del self._waiting[lease_id]
            self._grant(session, lease_id, now, warm=False)

    def _retire_surplus(self, now: float) -> None:
        spare = self._stock.standing(SessionState.VERIFIED)
        spare.sort(key=lambda session: session.replace_at)
        if self.draining:
            spare += self._stock.standing(SessionState.CONFIGURED)
        self._stock.discard(spare[: max(len(spare) - self._target, 0)], now=now)

    def _open_missing(self, now: float) -> None:
        missing = self._missing if now >= self._refill_at else self._urgent
        for _ in range(min(missing, self._may_connect())):
            if now < self._pause.again_at or not self._limiter.try_take(now=now):
                return
            self._stock.order(now=now)

    @property
    def _target(self) -> int:
        return 0 if self.draining else self.demand.target

    @property
    def _missing(self) -> int:
        return self._target - self._to_lend

    @property
    def _urgent(self) -> int:
        return math.ceil(self._target / 2) - self._to_lend

    @property
    def _to_lend(self) -> int:
        """How many there are, or will be soon, that no call waits for."""
        return self._stock.fresh() + self._stock.coming() - len(self._waiting)

    def _may_connect(self) -> int:
        connecting = self._stock.standing(SessionState.CONNECTING)
        return self._config.max_concurrent_opens - len(connecting)
