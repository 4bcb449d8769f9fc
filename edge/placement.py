"""Finds a session for a call: asks agents, the best one first."""

import asyncio
from collections import deque
from typing import Final

import structlog

from backhaul.clock import monotonic_s, unix_s
from backhaul.core.close_reason import CloseReason
from backhaul.core.messages import LeaseRefused
from edge.care import Cares
from edge.core.call_story import LeaseAttempt, SessionPlace
from edge.core.routes import Choice, RouteDecision
from edge.lease import Lease
from edge.links import AgentLinks
from edge.metrics import EdgeMetrics
from edge.search import Attempt, Search
from edge.settings import EdgeSettings

__all__ = ["COLD_TRIES", "Placement"]

_DECISIONS_KEPT: Final = 50
COLD_TRIES: Final = 3
"""Agents that are asked to open a session for a call."""
_AGAIN_AFTER_S: Final = 0.25
"""Before an agent that could not open a session is asked the same once more."""

_FAILURES: Final = frozenset({CloseReason.MODEL_UNAVAILABLE, CloseReason.NO_ANSWER})
"""Refusals that speak against a region."""

_log = structlog.get_logger()


class Placement:
    """Asks for sessions, as the router says. What is granted is somebody's at once."""

    def __init__(
        self,
        settings: EdgeSettings,
        *,
        links: AgentLinks,
        cares: Cares,
        metrics: EdgeMetrics,
    ) -> None:
        self._settings = settings
        self._links = links
        self._cares = cares
        self._metrics = metrics
        self._recent: deque[tuple[float, str, RouteDecision]] = deque(
            maxlen=_DECISIONS_KEPT
        )

    def recent(self) -> tuple[dict[str, object], ...]:
        """Return the last decisions, with every candidate and why it lost."""
        return tuple(
            {
                "at_unix_s": at,
                **_facts(call_sid, decision),
                "candidates": decision.rows(),
            }
            for at, call_sid, decision in self._recent
        )

    async def warm(self, search: Search) -> Lease | None:
        """Return a warm session of the best region that has one; None if none has.

        It takes a round trip, and another one for each agent that refuses, but no
        longer than the carrier should wait.
        """
        try:
            async with asyncio.timeout(self._settings.webhook_budget_s):
                return await self._ask_warm(search)
        except TimeoutError:
            return None

    async def _ask_warm(self, search: Search) -> Lease | None:
        while True:
            choice = self._note(search, self._route(search, without=search.asked))
            if choice is None or not choice.warm:
                return None
            lease = await self._ask(search, choice, cold=False)
            if lease is not None:
                return lease

    async def cold(self, search: Search) -> Lease | None:
        """Return a session that is opened if need be; None after three tries.

        The first is where it comes soonest, the others are elsewhere if they can be.
        A patient search has more tries, for as long as it is wanted.
        """
        tries = 0
        while search.wanted and (search.patient or tries < COLD_TRIES):
            tries += 1
            choice = await self._choose_cold(search)
            if choice is None and not search.patient:
                return None
            if choice is None:
                await asyncio.sleep(_AGAIN_AFTER_S)
            elif search.wanted:
                lease = await self._ask(search, choice, cold=True)
                if lease is not None:
                    return lease
        return None

    async def _choose_cold(self, search: Search) -> Choice | None:
        """Return whom to ask: in a new region, or a new agent, or the same again."""
        failed = search.failed
        decision = self._route(search, without=failed | self._agents_where(search))
        if decision.choice is None and search.attempts:
            decision = self._route(search, without=failed)
        if decision.choice is None and failed:
            await asyncio.sleep(_AGAIN_AFTER_S)
            decision = self._route(search)
        return self._note(search, decision)

    def _agents_where(self, search: Search) -> frozenset[str]:
        """Return the agents of all regions in which a session could not be opened."""
        regions = search.failed_regions
        agents = self._links.agents.values() if regions else ()
        return frozenset(one.address for one in agents if one.region in regions)

    def _route(
        self, search: Search, *, without: frozenset[str] = frozenset()
    ) -> RouteDecision:
        allowed = self._cares.of(search.profile).regions
        began_at = monotonic_s()
        decision = self._links.router_for(search.edge).route(
            search.profile, allowed=allowed, asked=without
        )
        now = monotonic_s()
        self._metrics.route_seconds.observe(now - began_at)
        search.leg.routed(began_at, decision, now=now)
        return decision

    def _note(self, search: Search, decision: RouteDecision) -> Choice | None:
        """Keep and log what was decided, and return it."""
        search.decision = decision
        self._recent.append((unix_s(), search.call_sid, decision))
        facts = _facts(search.call_sid, decision)
        pairs = zip(decision.candidates, decision.reasons, strict=True)
        reasons = {one.region: reason.value for one, reason in pairs}
        if decision.choice is None:
            _log.warning("call.unroutable", **facts, reasons=reasons)
        else:
            _log.info("call.routed", **facts, reasons=reasons)
        return decision.choice

    async def _ask(self, search: Search, choice: Choice, *, cold: bool) -> Lease | None:
        attempt = Attempt(choice, cold, asked_at=monotonic_s())
        search.attempts.append(attempt)
        router, profile = self._links.router_for(search.edge), search.profile
        refusal: CloseReason | None = CloseReason.NO_ANSWER  # if we are out of time
        outcome = CloseReason.NO_ANSWER.value
        router.asked(choice, profile)
        try:
            got = await self._request(search, choice, cold=cold)
            if isinstance(got, Lease):
                refusal, outcome = None, "warm" if got.warm else "cold"
                return got
            refusal, outcome = got.reason, got.reason.value
            return None
        finally:
            attempt.answered_at = monotonic_s()
            router.answered(choice, profile, refusal)
            self._count(search, attempt, outcome)

    async def _request(
        self, search: Search, choice: Choice, *, cold: bool
    ) -> Lease | LeaseRefused:
        agent = self._links.agents.get(choice.address)
        if agent is None:
            return LeaseRefused("", CloseReason.LINK_LOST)
        answer = await self._links.lease(
            agent,
            call_sid=search.call_sid,
            profile=search.profile,
            epoch=search.epoch,
            cold=cold,
        )
        if isinstance(answer, LeaseRefused) and answer.reason in _FAILURES:
            agent.evidence.attempted(failed=True, now=monotonic_s())
        return answer

    def _count(self, search: Search, attempt: Attempt, outcome: str) -> None:
        attempt.outcome = outcome
        search.leg.leased(self._told(attempt))
        region = attempt.choice.region
        self._metrics.leases.labels(region=region, outcome=outcome).inc()
        if outcome not in {"warm", "cold"}:
            _log.warning(
                "lease.refused",
                call_sid=search.call_sid,
                region=region,
                agent=attempt.choice.address,
                cold=attempt.cold,
                reason=outcome,
            )

    def _told(self, attempt: Attempt) -> LeaseAttempt:
        choice = attempt.choice
        agent = self._links.agents.get(choice.address)
        place = SessionPlace(choice.region, "") if agent is None else agent.place
        return LeaseAttempt(
            place,
            attempt.outcome,
            attempt.asked_at,
            attempt.answered_at or attempt.asked_at,
            cold=attempt.cold,
            predicted_ms=choice.predicted_ms,
        )


def _facts(call_sid: str, decision: RouteDecision) -> dict[str, object]:
    choice = decision.choice
    return {
        "call_sid": call_sid,
        "profile": decision.profile,
        "region": choice.region if choice else None,
        "agent": choice.address if choice else None,
        "warm": choice.warm if choice else None,
        "predicted_ms": round(choice.predicted_ms, 1) if choice else None,
    }
