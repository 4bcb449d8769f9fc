"""The sessions of one pool: where each stands, how old it is, whether it answers."""

import itertools
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backhaul.core.estimators import SmoothedMean
from region_agent.core.pool_config import Capacity, PoolConfig
from region_agent.core.pool_events import (
    OpenSession,
    PoolAction,
    PoolCounters,
    PoolStock,
    ProveSession,
    RetireSession,
    SessionReport,
    SessionStateChanged,
)
from region_agent.core.session_ladder import TRANSITIONS, SessionInput, SessionState
from region_agent.core.session_proof import ProofPatience, SessionProof

if TYPE_CHECKING:
    from random import Random

__all__ = ["PooledSession", "SessionStock"]

_NEVER: Final = float("inf")
_BUSY: Final = frozenset({SessionState.LEASED, SessionState.IN_CALL})
_IDLE: Final = (SessionState.CONFIGURED, SessionState.VERIFIED)
_CHECKED: Final = (*_IDLE, SessionState.LEASED)
"""A call in progress shows by itself whether its session answers."""
_ORDERED: Final = frozenset(
    {SessionInput.DISCARDED, SessionInput.CALL_ENDED, SessionInput.SILENT}
)
"""Ends of a session that the shell has to bring about."""


@dataclass(slots=True)
class PooledSession:
    """One session; times are monotonic seconds."""

    number: int
    ordered_at: float
    since: float
    """When it came into its state."""
    proof: SessionProof
    state: SessionState = SessionState.CONNECTING
    opened_at: float | None = None
    replace_at: float = _NEVER
    """From here on it counts as missing, but may still be lent."""
    lend_until: float = _NEVER
    ageing: bool = False
    """Whether `replace_at` is past."""
    doubted: bool = False
    """Whether its proof is overdue."""
    lease_id: str = ""
    lease_ends_at: float = _NEVER

    def next_deadline(self) -> float:
        """Return when something has to be done about it, in a state that is checked."""
        spent_at = self.lend_until if self.ageing else self.replace_at
        ends_at = self.lease_ends_at if self.state is SessionState.LEASED else spent_at
        doubt_at = _NEVER if self.doubted else self.proof.doubt_at
        return min(ends_at, doubt_at, self.proof.next_deadline())


class SessionStock:
    """Keeps the sessions of one pool and moves them on the ladder.

    Attributes:
        actions: What is to be done, in order; the pool hands it over.
        open_time: From the order to open a session to its first proof (s).
    """

    def __init__(
        self,
        config: PoolConfig,
        *,
        capacity: Capacity,
        counters: PoolCounters,
        rng: "Random",
    ) -> None:
        self.actions: list[PoolAction] = []
        self.open_time = SmoothedMean(config.expected_open_s)
        self._config = config
        self._capacity = capacity
        self._counters = counters
        self._rng = rng
        self._numbers = itertools.count(1)
        self._sessions: dict[int, PooledSession] = {}
        # By state as well: most of them are in calls, and nothing is due there.
        self._standing: dict[SessionState, dict[int, PooledSession]] = {
            state: {} for state in SessionState
        }
        self._patience = ProofPatience(config.proof_timeout_s)

    # Looking

    def counts(self) -> PoolStock:
        """Return how many sessions stand where."""
        standing = self._standing
        return PoolStock(
            connecting=len(standing[SessionState.CONNECTING]),
            configured=len(standing[SessionState.CONFIGURED]),
            verified=len(standing[SessionState.VERIFIED]),
            leased=len(standing[SessionState.LEASED]),
            in_call=len(standing[SessionState.IN_CALL]),
        )

    def reports(self, *, now: float) -> tuple[SessionReport, ...]:
        """Return where each session stands, oldest first."""
        return tuple(
            SessionReport(
                number=session.number,
                state=session.state,
                since_s=now - session.since,
                age_s=_age_s(session.opened_at, now),
                proof_age_s=_age_s(session.proof.given_at, now),
            )
            for session in self._sessions.values()
        )

    @property
    def proof_time_s(self) -> float:
        """How long a session takes to prove that it answers (s); 0 before any did."""
        return self._patience.round_trip.smoothed_rtt_s or 0.0

    def get(self, number: int) -> PooledSession | None:
        """Return a session by its number, None when it is gone."""
        return self._sessions.get(number)

    def leased(self, lease_id: str) -> PooledSession | None:
        """Return the session that a lease reserves, None for an unknown lease."""
        for session in self.standing(SessionState.LEASED):
            if session.lease_id == lease_id:
                return session
        return None

    def oldest(self) -> PooledSession | None:
        """Return the session to lend next: the verified one to be replaced first."""
        verified = self.standing(SessionState.VERIFIED)
        stock = [session for session in verified if not session.doubted]
        return min(stock, key=lambda session: session.replace_at, default=None)

    def standing(self, *states: SessionState) -> list[PooledSession]:
        """Return the sessions in any of *states*."""
        return [one for state in states for one in self._standing[state].values()]

    def coming(self) -> int:
        """Return how many sessions are about to be verified, and last."""
        return sum(
            not (session.doubted or session.ageing)
            for session in self.standing(
                SessionState.CONNECTING, SessionState.CONFIGURED
            )
        )

    def fresh(self) -> int:
        """Return how many sessions are verified and last."""
        return sum(not one.ageing for one in self.standing(SessionState.VERIFIED))

    def next_deadline(self) -> float:
        """Return when something has to be done about any session."""
        deadlines = [one.next_deadline() for one in self.standing(*_CHECKED)]
        return min(deadlines, default=_NEVER)

    # Doing

    def order(self, *, now: float) -> None:
        """Have a session opened."""
        config = self._config
        proof = SessionProof(
            config.proof_interval_s, config.proof_timeout_s, self._patience
        )
        session = PooledSession(next(self._numbers), now, now, proof)
        self._sessions[session.number] = session
        self._standing[session.state][session.number] = session
        self.actions.append(OpenSession(session.number))

    def opened(self, session: PooledSession, expires_at: float, *, now: float) -> bool:
        """Take note that it is open; return whether it may be lent at all."""
        config = self._config
        self._counters.opened += 1
        session.opened_at = now
        session.lend_until = expires_at - config.min_call_time_left_s
        usable_s = min(session.lend_until - now, config.max_warm_age_s)
        # Spread, so that sessions opened together are not replaced together.
        lead_s = min(config.replace_lead_s, usable_s / 2)
        early_s = lead_s * (0.5 + 0.5 * self._rng.random())
        session.replace_at = now + usable_s - early_s
        session.proof.want(now=now)
        self.apply(session, SessionInput.OPENED, now=now)
        return usable_s > 0

    def proven(self, session: PooledSession, *, now: float) -> bool:
        """Take note that it answered; return whether it did so for the first time."""
        is_first = session.proof.given_at is None
        session.proof.give(now=now, rng=self._rng)
        session.doubted = False
        self.apply(session, SessionInput.PROVEN, now=now)
        if is_first:
            self.open_time.add(now - session.ordered_at)
        return is_first

    def lend(
        self, session: PooledSession, lease_id: str, *, ends_at: float, now: float
    ) -> None:
        """Reserve it for a lease.

        It is asked for a proof at once: the carrier takes longer to connect the call,
        so that a session which died since its last proof can still be exchanged.
        """
        session.lease_id = lease_id
        session.lease_ends_at = ends_at
        session.proof.want(now=now)
        self.apply(session, SessionInput.LENT, now=now)

    def refresh(self, *, now: float) -> None:
        """Age the sessions, retire the spent ones and doubt those that owe a proof."""
        for session in self.standing(*_IDLE):
            session.ageing = now >= session.replace_at
            if now >= session.lend_until:
                self.apply(session, SessionInput.DISCARDED, now=now)
        for session in self.standing(*_CHECKED):
            is_overdue = now >= session.proof.doubt_at
            self._counters.doubted += is_overdue and not session.doubted
            session.doubted = is_overdue
            if is_overdue:
                self.apply(session, SessionInput.DOUBTED, now=now)

    def silent(self, *, now: float) -> list[PooledSession]:
        """Return the sessions that have not answered for too long."""
        checked = self.standing(*_CHECKED)
        return [one for one in checked if one.proof.has_failed(now=now)]

    def ask(self, *, now: float) -> None:
        """Ask for the proofs that are due."""
        for session in self.standing(*_CHECKED):
            if now >= session.proof.ask_at:
                session.proof.ask(now=now)
                self._counters.proofs += 1
                self.actions.append(ProveSession(session.number))

    def excuse(self, *, now: float) -> None:
        """Count no time until now against any session: nobody listened."""
        for session in self._sessions.values():
            session.proof.excuse(now=now)

    def discard(self, sessions: Collection[PooledSession], *, now: float) -> None:
        """Retire *sessions*, which are not wanted any more."""
        for session in sessions:
            self.apply(session, SessionInput.DISCARDED, now=now)

    def apply(self, session: PooledSession, given: SessionInput, *, now: float) -> None:
        """Move a session on the ladder; its place is free when it leaves a call."""
        old, new = session.state, TRANSITIONS[session.state, given]
        if new is old:
            return
        session.state, session.since = new, now
        del self._standing[old][session.number]
        self._standing[new][session.number] = session
        self.actions.append(SessionStateChanged(session.number, old, new, given.value))
        if old in _BUSY and new not in _BUSY:
            self._capacity.release()
        if new is SessionState.RETIRED:
            del self._sessions[session.number], self._standing[new][session.number]
            if given in _ORDERED:
                self._counters.retired += given is not SessionInput.SILENT
                self.actions.append(RetireSession(session.number))


def _age_s(moment: float | None, now: float) -> float | None:
    return None if moment is None else now - moment
