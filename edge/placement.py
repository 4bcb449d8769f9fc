"""Finds a session for a call: asks agents, the best one first."""

import asyncio
import random

import structlog

from backhaul.core.messages import LeaseRefused
from edge.core.router import route
from edge.links import AgentLinks, Lease
from edge.metrics import EdgeMetrics
from edge.settings import EdgeSettings

__all__ = ["Placement"]

_log = structlog.get_logger()


class Placement:
    """Leases sessions for calls, within the time that the carrier waits."""

    def __init__(
        self,
        settings: EdgeSettings,
        *,
        links: AgentLinks,
        metrics: EdgeMetrics,
        rng: random.Random,
    ) -> None:
        self._settings = settings
        self._links = links
        self._metrics = metrics
        self._rng = rng

    async def lease(self, call_sid: str, profile: str) -> Lease | None:
        """Return a session of the best agent that has one, None if there is none."""
        try:
            async with asyncio.timeout(self._settings.webhook_budget_s):
                return await self._ask_agents(call_sid, profile)
        except TimeoutError:
            _log.warning("call.unplaced", call_sid=call_sid, reasons="out of time")
            return None

    async def _ask_agents(self, call_sid: str, profile: str) -> Lease | None:
        agents = self._links.agents
        decision = route(
            (agent.snapshot(profile) for agent in agents.values()),
            preferred_region=self._settings.preferred_region,
            rng=self._rng,
        )
        for address in decision.candidates:
            agent = agents[address]
            got = await self._links.lease(agent, call_sid=call_sid, profile=profile)
            if isinstance(got, LeaseRefused):
                outcome = got.reason.value
            else:
                outcome = "warm" if got.warm else "cold"
            self._metrics.leases.labels(region=agent.region, outcome=outcome).inc()
            if not isinstance(got, LeaseRefused):
                return got
        _log.warning("call.unplaced", call_sid=call_sid, reasons=decision.reasons)
        return None
