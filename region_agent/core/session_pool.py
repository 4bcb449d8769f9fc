"""Decides which sessions to open, lend, replace and retire, for one profile.

The shell performs the actions and reports back: after `OpenSession` exactly one of
`SessionOpened` and `OpenFailed` must follow, unless `RetireSession` came first.
"""

import itertools
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backhaul.core.messages import CloseReason
from backhaul.core.token_bucket import TokenBucket
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
    PoolCounters,
    PoolEvent,
    PoolStock,
    RefuseLease,
    RetireSession,
    SessionClosed,
    SessionOpened,
    SessionStateChanged,
)
from region_agent.core.session_ladder import TRANSITIONS, SessionInput, SessionState

if TYPE_CHECKING:
    from random import Random

__all__ = ["SessionPool"]

_NEVER = float("inf")


@dataclass(slots=True)
class _Session:
    number: int
    state: SessionState = SessionState.CONNECTING
    replace_at: float = _NEVER
    """From here on it counts as missing, but may still be lent."""
    lend_until: float = _NEVER
    lease_id: str = ""
    lease_ends_at: float = _NEVER
    ageing: bool = False


class SessionPool:
    """Keeps `PoolConfig.floor` sessions of one profile ready; a `Machine`."""

    def __init__(
        self, *, config: PoolConfig, capacity: Capacity, rng: "Random", now: float
    ) -> None:
        self.counters = PoolCounters()
        self.draining = False
        self._config = config
        self._capacity = capacity
        self._rng = rng
        self._numbers = itertools.count(1)
        self._sessions: dict[int, _Session] = {}
        self._waiting: dict[str, float] = {}
        self._bucket = TokenBucket(
            rate_per_s=config.opens_per_s,
            burst=max(int(config.opens_per_s), 1),
            now=now,
        )
        self._failures = 0
        self._open_again_at = now
        self._actions: list[PoolAction] = []

    def stock(self) -> PoolStock:
        """Return how many sessions stand where."""
        states = Counter(session.state for session in self._sessions.values())
        return PoolStock(
            connecting=states[SessionState.CONNECTING],
            configured=states[SessionState.CONFIGURED],
            leased=states[SessionState.LEASED],
            in_call=states[SessionState.IN_CALL],
        )

    def session_of(self, lease_id: str) -> int | None:
        """Return the session reserved by *lease_id*, None for an unknown lease."""
        session = self._leased(lease_id)
        return None if session is None else session.number

    def handle(self, event: PoolEvent, *, now: float) -> tuple[PoolAction, ...]:
        """Take note of *event*; see `backhaul.core.machine.Machine`."""
        self._retire_spent(now)
        match event:
            case LeaseRequested(lease_id):
                self._on_requested(lease_id, now)
            case LeaseReleased(lease_id):
                self._on_released(lease_id)
            case LeaseRedeemed(lease_id):
                self._apply_to_lease(lease_id, SessionInput.REDEEMED)
            case Drained():
                self._on_drained()
            case _:
                self._on_session_event(event, now)
        return self._settle(now)

    def next_deadline(self) -> float | None:
        """Return when `expire` wants to be called; see Machine."""
        deadlines = [*self._waiting.values()]
        for session in self._sessions.values():
            if session.state is SessionState.LEASED:
                deadlines.append(session.lease_ends_at)
            elif session.state is SessionState.CONFIGURED:
                deadlines.append(
                    session.lend_until if session.ageing else session.replace_at
                )
        if self._missing() > 0 and self._may_connect() > 0:
            deadlines.append(max(self._open_again_at, self._bucket.ready_at))
        return min(deadlines, default=None)

    def expire(self, *, now: float) -> tuple[PoolAction, ...]:
        """Return what is due at *now*; see Machine."""
        for lease_id, ends_at in list(self._waiting.items()):
            if now >= ends_at:
                self._refuse_waiting(lease_id, CloseReason.MODEL_UNAVAILABLE)
        for session in list(self._sessions.values()):
            if session.state is SessionState.LEASED and now >= session.lease_ends_at:
                self.counters.leases_expired += 1
                self._apply(session, SessionInput.RETURNED)
                self._actions.append(LeaseVoided(session.lease_id))
        return self._settle(now)

    # Leases

    def _on_requested(self, lease_id: str, now: float) -> None:
        if lease_id in self._waiting or self._leased(lease_id) is not None:
            return  # asked twice: the first answer stands
        if self.draining:
            self._refuse(lease_id, CloseReason.DRAINED)
        elif not self._capacity.try_acquire():
            self._refuse(lease_id, CloseReason.AT_CAPACITY)
        elif (session := self._oldest()) is not None:
            self._grant(session, lease_id, warm=True, now=now)
        else:
            self._wait_for_session(lease_id, now)

    def _wait_for_session(self, lease_id: str, now: float) -> None:
        ends_at = now + self._config.lease_wait_s
        hopeless = self._open_again_at >= ends_at
        self._waiting[lease_id] = ends_at
        if hopeless and not self.stock().connecting:
            self._refuse_waiting(lease_id, CloseReason.MODEL_UNAVAILABLE)

    def _grant(
        self, session: _Session, lease_id: str, *, warm: bool, now: float
    ) -> None:
        if warm:
            self.counters.warm_grants += 1
        else:
            self.counters.cold_grants += 1
        self._lend(session, lease_id, now + self._config.lease_ttl_s)
        self._actions.append(GrantLease(lease_id, warm))

    def _lend(self, session: _Session, lease_id: str, ends_at: float) -> None:
        session.lease_id = lease_id
        session.lease_ends_at = ends_at
        self._apply(session, SessionInput.LENT)

    def _refuse(self, lease_id: str, reason: CloseReason) -> None:
        self.counters.refused += 1
        self._actions.append(RefuseLease(lease_id, reason))

    def _refuse_waiting(self, lease_id: str, reason: CloseReason) -> None:
        del self._waiting[lease_id]
        self._capacity.release()
        self._refuse(lease_id, reason)

    def _on_released(self, lease_id: str) -> None:
        if self._waiting.pop(lease_id, None) is not None:
            self._capacity.release()
        self._apply_to_lease(lease_id, SessionInput.RETURNED)

    def _apply_to_lease(self, lease_id: str, given: SessionInput) -> None:
        session = self._leased(lease_id)
        if session is not None:
            self._apply(session, given)

    def _leased(self, lease_id: str) -> _Session | None:
        for session in self._sessions.values():
            if session.state is SessionState.LEASED and session.lease_id == lease_id:
                return session
        return None

    # Sessions

    def _on_drained(self) -> None:
        self.draining = True
        for lease_id in list(self._waiting):
            self._refuse_waiting(lease_id, CloseReason.DRAINED)
        for session in list(self._sessions.values()):
            if session.state is SessionState.CONNECTING:
                self._apply(session, SessionInput.DISCARDED)

    def _on_session_event(
        self,
        event: SessionOpened | OpenFailed | SessionClosed | CallEnded,
        now: float,
    ) -> None:
        session = self._sessions.get(event.session)
        if session is None:
            return  # it was retired meanwhile
        match event:
            case SessionOpened(expires_at=expires_at):
                self._on_opened(session, expires_at, now)
            case OpenFailed(retry_after_s=retry_after_s):
                self._back_off(retry_after_s or 0.0, now)
                self.counters.failed += 1
                self._apply(session, SessionInput.OPEN_FAILED)
            case SessionClosed():
                self._on_closed(session)
            case _:
                self._apply(session, SessionInput.CALL_ENDED)

    def _on_opened(self, session: _Session, expires_at: float, now: float) -> None:
        config = self._config
        self.counters.opened += 1
        session.lend_until = expires_at - config.min_call_time_left_s
        usable_s = min(session.lend_until - now, config.max_warm_age_s)
        if usable_s <= 0:
            # Born too old: opening another at once would only repeat it.
            self._back_off(0.0, now)
        # Spread, so that sessions opened together are not replaced together.
        lead_s = min(config.replace_lead_s, usable_s / 2)
        early_s = lead_s * (0.5 + 0.5 * self._rng.random())
        session.replace_at = now + usable_s - early_s
        self._apply(session, SessionInput.OPENED)
        self._retire_spent(now)

    def _on_closed(self, session: _Session) -> None:
        self.counters.closed += 1
        was_leased = session.state is SessionState.LEASED
        self._apply(session, SessionInput.CLOSED)
        if not was_leased:
            return
        # A lease promises some session, so another may stand in for the lost one.
        successor = self._oldest()
        if successor is not None and self._capacity.try_acquire():
            self._lend(successor, session.lease_id, session.lease_ends_at)
        else:
            self._actions.append(LeaseVoided(session.lease_id))

    def _back_off(self, retry_after_s: float, now: float) -> None:
        if now - self._open_again_at > self._config.quiet_s:
            self._failures = 0
        if now >= self._open_again_at:  # opens that fail together count once
            self._failures += 1
        wait_s = self._config.backoff.wait_s(max(self._failures, 1), rng=self._rng)
        again_at = now + max(wait_s, retry_after_s)
        self._open_again_at = max(self._open_again_at, again_at)

    def _oldest(self) -> _Session | None:
        stock = self._in_stock()
        return min(stock, key=lambda session: session.replace_at, default=None)

    def _in_stock(self) -> list[_Session]:
        return [
            session
            for session in self._sessions.values()
            if session.state is SessionState.CONFIGURED
        ]

    # What every event ends with

    def _settle(self, now: float) -> tuple[PoolAction, ...]:
        self._retire_spent(now)
        self._serve_waiting(now)
        self._retire_surplus()
        self._open_missing(now)
        actions, self._actions = tuple(self._actions), []
        return actions

    def _retire_spent(self, now: float) -> None:
        for session in self._in_stock():
            session.ageing = now >= session.replace_at
            if now >= session.lend_until:
                self._apply(session, SessionInput.DISCARDED)

    def _serve_waiting(self, now: float) -> None:
        for lease_id in list(self._waiting):
            session = self._oldest()
            if session is None:
                return
            del self._waiting[lease_id]
            self._grant(session, lease_id, warm=False, now=now)

    def _retire_surplus(self) -> None:
        by_age = sorted(self._in_stock(), key=lambda session: session.replace_at)
        for session in by_age[: max(len(by_age) - self._floor, 0)]:
            self._apply(session, SessionInput.DISCARDED)

    def _open_missing(self, now: float) -> None:
        for _ in range(min(self._missing(), self._may_connect())):
            if now < self._open_again_at or not self._bucket.try_take(now=now):
                return
            session = _Session(next(self._numbers))
            self._sessions[session.number] = session
            self._actions.append(OpenSession(session.number))

    @property
    def _floor(self) -> int:
        return 0 if self.draining else self._config.floor

    def _missing(self) -> int:
        fresh = sum(not session.ageing for session in self._in_stock())
        wanted = self._floor + len(self._waiting)
        return wanted - fresh - self.stock().connecting

    def _may_connect(self) -> int:
        return self._config.max_concurrent_opens - self.stock().connecting

    # The ladder

    def _apply(self, session: _Session, given: SessionInput) -> None:
        old, new = session.state, TRANSITIONS[session.state, given]
        if new is old:
            return
        session.state = new
        self._actions.append(SessionStateChanged(session.number, old, new, given.value))
        busy = {SessionState.LEASED, SessionState.IN_CALL}
        if old in busy and new not in busy:
            self._capacity.release()
        if new is SessionState.RETIRED:
            del self._sessions[session.number]
            if given in {SessionInput.DISCARDED, SessionInput.CALL_ENDED}:
                self.counters.retired += 1
                self._actions.append(RetireSession(session.number))
