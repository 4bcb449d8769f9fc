"""Carries out what the session pools order, for every profile of this agent."""

import random
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import structlog

from backhaul.clock import monotonic_s
from backhaul.core.messages import CloseReason, ProfileStock
from backhaul.core.profile import Profile
from backhaul.driver import LoopDriver
from backhaul.errors import RealtimeError, RealtimeRateLimitedError
from backhaul.recent import RecentMean
from backhaul.tasks import TaskOwner
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
    SessionReport,
    SessionStateChanged,
    SurgeOrdered,
)
from region_agent.core.session_pool import SessionPool
from region_agent.realtime import RealtimeCounters, RealtimeSession
from region_agent.realtime_open import RealtimeEndpoint, open_session

__all__ = ["LeaseAnswers", "ProfileSessions", "Sessions"]

_LONGEST_S: Final = 3600.0
"""Edges read no longer time (s)."""

_log = structlog.get_logger()


class LeaseAnswers(Protocol):
    """Who is told what became of lease requests."""

    def on_lease_granted(self, lease_id: str, *, warm: bool) -> None:
        """A session is reserved."""
        ...

    def on_lease_refused(self, lease_id: str, reason: CloseReason) -> None:
        """No session can be had."""
        ...

    def on_lease_ended(self, lease_id: str) -> None:
        """A lease ran out, or its session was lost before the call began."""
        ...


class ProfileSessions:
    """The sessions of one profile: its pool at work."""

    def __init__(
        self,
        name: str,
        profile: Profile,
        *,
        config: PoolConfig,
        capacity: Capacity,
        limiter: OpenLimiter,
        endpoint: RealtimeEndpoint,
        counters: RealtimeCounters,
        answers: LeaseAnswers,
        on_stock_changed: Callable[[], None],
        rng: random.Random,
    ) -> None:
        self.name = name
        self.profile = profile
        self.first_audio = RecentMean()
        """From asking the model to its first audio (s)."""
        self._endpoint = endpoint
        self._counters = counters
        self._answers = answers
        self._on_stock_changed = on_stock_changed
        self._tasks = TaskOwner()
        self._opening: set[int] = set()
        self._sessions: dict[int, RealtimeSession] = {}
        self.pool = SessionPool(
            config=config,
            capacity=capacity,
            limiter=limiter,
            rng=rng,
            now=monotonic_s(),
        )
        self._driver: LoopDriver[PoolEvent, PoolAction] = LoopDriver(
            self.pool, self._perform
        )

    def start(self) -> None:
        """Begin to fill the stock."""
        self._driver.start()

    def stock(self) -> ProfileStock:
        """Return what edges are told of it."""
        return ProfileStock(
            warm=self.pool.stock().verified,
            open_s=min(self.pool.open_s, _LONGEST_S),
            first_audio_s=min(self.first_audio.value, _LONGEST_S),
            target=self.pool.demand.target,
        )

    def session_rows(self) -> list[dict[str, object]]:
        """Return where each session stands, for an operator."""
        return [
            _row(report, self._sessions.get(report.number))
            for report in self.pool.reports(now=monotonic_s())
        ]

    def request(self, lease_id: str, *, cold: bool) -> None:
        """Ask for a session, *cold*: wait for one if need be; see `LeaseAnswers`."""
        self._driver.feed(LeaseRequested(lease_id, cold))

    def release(self, lease_id: str) -> None:
        """Give a lease back, or stop waiting for one; an unknown one is no error."""
        self._driver.feed(LeaseReleased(lease_id))

    def redeem(self, lease_id: str) -> tuple[int, RealtimeSession] | None:
        """Start the call behind a lease; None when it has no session that answers."""
        number = self.pool.session_of(lease_id)
        if number is None:
            return None
        self._driver.feed(LeaseRedeemed(lease_id))
        return number, self._sessions[number]

    def report(self, number: int) -> SessionReport | None:
        """Return where session *number* stands, None if it is gone."""
        reports = self.pool.reports(now=monotonic_s())
        return next((one for one in reports if one.number == number), None)

    def end_call(self, number: int) -> None:
        """The call on this session is over; the session is closed."""
        self._driver.feed(CallEnded(number))

    def surge(self, factor: float, length_s: float) -> None:
        """Keep more sessions ready for a while; see `backhaul.core.surge`."""
        self._driver.feed(SurgeOrdered(factor, length_s))

    def drain(self) -> None:
        """Lend no more sessions."""
        self._driver.feed(Drained())

    async def aclose(self) -> None:
        """Close every session."""
        self._driver.close()
        await self._tasks.aclose()
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()

    def _perform(self, action: PoolAction) -> None:
        match action:
            case OpenSession(number):
                self._opening.add(number)
                self._tasks.spawn(self._open(number), name=f"open:{self.name}:{number}")
            case ProveSession(number):
                self._prove(number)
            case RetireSession(number):
                self._retire(number)
            case GrantLease(lease_id, warm):
                self._answers.on_lease_granted(lease_id, warm=warm)
            case RefuseLease(lease_id, reason):
                self._answers.on_lease_refused(lease_id, reason)
            case LeaseVoided(lease_id):
                self._answers.on_lease_ended(lease_id)
            case SessionStateChanged():
                self._on_state_changed(action)

    def _prove(self, number: int) -> None:
        session = self._sessions.get(number)
        if session is not None:
            session.prove(lambda: self._driver.feed(ProofGiven(number)))

    def _retire(self, number: int) -> None:
        self._opening.discard(number)
        session = self._sessions.pop(number, None)
        if session is not None:
            session.close()

    async def _open(self, number: int) -> None:
        try:
            session = await open_session(
                self._endpoint,
                self.profile,
                self._counters,
                first_audio=self.first_audio,
                on_lost=lambda: self._on_lost(number),
            )
        except RealtimeError as exc:
            self._on_open_failed(number, exc)
            return
        if number not in self._opening:
            session.close()
            return
        self._opening.discard(number)
        self._sessions[number] = session
        self._driver.feed(SessionOpened(number, session.expires_at))

    def _on_open_failed(self, number: int, exc: RealtimeError) -> None:
        self._opening.discard(number)
        _log.warning(
            "session.open_failed", profile=self.name, code=exc.code, reason=str(exc)
        )
        if isinstance(exc, RealtimeRateLimitedError):
            failure = OpenFailed(number, True, exc.retry_after_s)
        else:
            failure = OpenFailed(number)
        self._driver.feed(failure)

    def _on_lost(self, number: int) -> None:
        self._sessions.pop(number, None)
        self._driver.feed(SessionClosed(number))

    def _on_state_changed(self, change: SessionStateChanged) -> None:
        _log.debug(
            "session.state_changed",
            profile=self.name,
            session=change.session,
            old=change.old.value,
            new=change.new.value,
            reason=change.reason,
        )
        self._on_stock_changed()


def _row(report: SessionReport, session: RealtimeSession | None) -> dict[str, object]:
    return {
        "number": report.number,
        "session_id": session.session_id if session else "",
        "state": report.state.value,
        "since_s": round(report.since_s, 3),
        "age_s": _rounded(report.age_s),
        "last_proof_s": _rounded(report.proof_age_s),
    }


def _rounded(value_s: float | None) -> float | None:
    return None if value_s is None else round(value_s, 3)


class Sessions:
    """All pools of one agent."""

    def __init__(
        self,
        profiles: Mapping[str, Profile],
        *,
        pool_config: Callable[[Profile], PoolConfig],
        capacity: Capacity,
        opens_per_s: float,
        endpoint: RealtimeEndpoint,
        answers: LeaseAnswers,
        on_stock_changed: Callable[[], None],
        rng: random.Random,
    ) -> None:
        self.counters = RealtimeCounters()
        self.capacity = capacity
        self.limiter = OpenLimiter(opens_per_s=opens_per_s, rng=rng, now=monotonic_s())
        self.endpoint = endpoint
        self.by_profile = {
            name: ProfileSessions(
                name,
                profile,
                config=pool_config(profile),
                capacity=capacity,
                limiter=self.limiter,
                endpoint=endpoint,
                counters=self.counters,
                answers=answers,
                on_stock_changed=on_stock_changed,
                rng=rng,
            )
            for name, profile in profiles.items()
        }

    def start(self) -> None:
        """Begin to fill every stock."""
        for sessions in self.by_profile.values():
            sessions.start()

    def stock(self) -> dict[str, ProfileStock]:
        """Return what edges are told, by profile."""
        return {name: each.stock() for name, each in self.by_profile.items()}

    def surge(self, factor: float, length_s: float) -> None:
        """Keep more sessions of every profile ready for a while."""
        for sessions in self.by_profile.values():
            sessions.surge(factor, length_s)

    @property
    def surge_factor(self) -> float:
        """What every stock is multiplied by just now."""
        demands = (each.pool.demand for each in self.by_profile.values())
        return max((one.surge.factor for one in demands), default=1.0)

    def without_stock(self) -> list[str]:
        """Return the profiles that should have a warm session and have none."""
        return [
            name
            for name, each in self.by_profile.items()
            if each.pool.demand.target and not each.pool.stock().verified
        ]

    def warm(self) -> dict[str, int]:
        """Return the verified sessions that are free for a lease, by profile."""
        return {
            name: each.pool.stock().verified for name, each in self.by_profile.items()
        }

    def drain(self) -> None:
        """Lend no more sessions."""
        for sessions in self.by_profile.values():
            sessions.drain()

    async def aclose(self) -> None:
        """Close every session."""
        for sessions in self.by_profile.values():
            await sessions.aclose()
