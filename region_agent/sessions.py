"""Carries out what the session pools order, for every profile of this agent."""

import random
from collections.abc import Callable, Mapping
from typing import Protocol

import structlog

from backhaul.clock import monotonic_s
from backhaul.core.messages import CloseReason
from backhaul.core.profile import Profile
from backhaul.driver import LoopDriver
from backhaul.errors import RealtimeError, RealtimeRateLimitedError
from backhaul.tasks import TaskOwner
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
from region_agent.core.session_pool import SessionPool
from region_agent.realtime import RealtimeCounters, RealtimeSession
from region_agent.realtime_open import RealtimeEndpoint, open_session

__all__ = ["LeaseAnswers", "ProfileSessions", "Sessions"]

_log = structlog.get_logger()


class LeaseAnswers(Protocol):
    """Who is told what became of lease requests and of the stock."""

    def on_lease_granted(self, lease_id: str, *, warm: bool) -> None:
        """A session is reserved."""
        ...

    def on_lease_refused(self, lease_id: str, reason: CloseReason) -> None:
        """No session can be had."""
        ...

    def on_lease_ended(self, lease_id: str) -> None:
        """A lease ran out, or its session was lost before the call began."""
        ...

    def on_stock_changed(self) -> None:
        """A pool has more or fewer sessions ready, or in a call."""
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
        endpoint: RealtimeEndpoint,
        counters: RealtimeCounters,
        answers: LeaseAnswers,
        rng: random.Random,
    ) -> None:
        self.name = name
        self.profile = profile
        self._endpoint = endpoint
        self._counters = counters
        self._answers = answers
        self._tasks = TaskOwner()
        self._opening: set[int] = set()
        self._sessions: dict[int, RealtimeSession] = {}
        self.pool = SessionPool(
            config=config, capacity=capacity, rng=rng, now=monotonic_s()
        )
        self._driver: LoopDriver[PoolEvent, PoolAction] = LoopDriver(
            self.pool, self._perform
        )

    def start(self) -> None:
        """Begin to fill the stock."""
        self._driver.start()

    def request(self, lease_id: str) -> None:
        """Ask for a session; `LeaseAnswers` hears the answer."""
        self._driver.feed(LeaseRequested(lease_id))

    def release(self, lease_id: str) -> None:
        """Give a lease back, or stop waiting for one; an unknown one is no error."""
        self._driver.feed(LeaseReleased(lease_id))

    def redeem(self, lease_id: str) -> tuple[int, RealtimeSession] | None:
        """Start the call behind a lease; None when the lease is unknown."""
        number = self.pool.session_of(lease_id)
        if number is None:
            return None
        self._driver.feed(LeaseRedeemed(lease_id))
        return number, self._sessions[number]

    def end_call(self, number: int) -> None:
        """The call on this session is over; the session is closed."""
        self._driver.feed(CallEnded(number))

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
        retry_after_s = (
            exc.retry_after_s if isinstance(exc, RealtimeRateLimitedError) else None
        )
        self._driver.feed(OpenFailed(number, retry_after_s))

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
        self._answers.on_stock_changed()


class Sessions:
    """All pools of one agent."""

    def __init__(
        self,
        profiles: Mapping[str, Profile],
        *,
        pool_config: Callable[[Profile], PoolConfig],
        capacity: Capacity,
        endpoint: RealtimeEndpoint,
        answers: LeaseAnswers,
        rng: random.Random,
    ) -> None:
        self.counters = RealtimeCounters()
        self.capacity = capacity
        self.endpoint = endpoint
        self.by_profile = {
            name: ProfileSessions(
                name,
                profile,
                config=pool_config(profile),
                capacity=capacity,
                endpoint=endpoint,
                counters=self.counters,
                answers=answers,
                rng=rng,
            )
            for name, profile in profiles.items()
        }

    def start(self) -> None:
        """Begin to fill every stock."""
        for sessions in self.by_profile.values():
            sessions.start()

    def warm(self) -> dict[str, int]:
        """Return the sessions free for a lease, by profile."""
        return {
            name: sessions.pool.stock().configured
            for name, sessions in self.by_profile.items()
        }

    def drain(self) -> None:
        """Lend no more sessions."""
        for sessions in self.by_profile.values():
            sessions.drain()

    async def aclose(self) -> None:
        """Close every session."""
        for sessions in self.by_profile.values():
            await sessions.aclose()
