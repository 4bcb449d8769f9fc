"""Finds calls whose edge is gone: their session, or what is left of it."""

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from backhaul.clock import monotonic_s
from backhaul.core.messages import KeptCall
from edge.agent import Agent
from edge.call import Call
from edge.core.call_story import Leg
from edge.core.routes import Choice
from edge.core.survey import Survey
from edge.lease import Lease
from edge.links import AgentLinks
from edge.metrics import EdgeMetrics
from edge.search import Attempt, Search
from edge.settings import EdgeSettings

__all__ = ["Rescue", "Rescued"]

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Rescued:
    """A call that goes on."""

    search: Search
    """What has found its session, or is to find another."""
    lease: Lease | None
    """The very session; None: only what was said is known."""
    kept: KeptCall

    def resume(self, call: Call, *, number: int) -> None:
        """Let *call*, which has just begun, go on where it was lost.

        Args:
            call: With stream *number*.
            number: Streams before it were another edge's.
        """
        call.session.was_heard = True
        call.session.memory.resume(self.kept)
        call.line.resume(self.kept.voice_position)
        call.machine.streams = number


class Rescue:
    """Asks every agent of every region for calls that this edge knows nothing of."""

    def __init__(
        self, settings: EdgeSettings, *, links: AgentLinks, metrics: EdgeMetrics
    ) -> None:
        """Know whom to ask."""
        self._settings = settings
        self._links = links
        self._metrics = metrics

    async def find(self, call_sid: str, *, leg: Leg) -> Rescued | None:
        """Return how a call goes on, None if nobody knows of it.

        Args:
            call_sid: The call; its caller is on the line.
            leg: What is told of it afterwards.
        """
        survey = await self._ask_all(call_sid)
        known, epoch = survey.best_first(), survey.next_epoch()
        if not known:
            self._count(call_sid, "unknown")
            return None
        rescued = await self._go_on(call_sid, known[:1], epoch, leg)
        if rescued is None:
            # Whoever had it and has it no more may have left a copy by now, which is
            # later than what else was known.
            first, survey = survey, await self._ask_all(call_sid)
            survey.take_along(first)
            epoch = max(epoch + 1, survey.next_epoch())
            rescued = await self._go_on(call_sid, survey.best_first(), epoch, leg)
        if rescued is None:
            self._count(call_sid, "lost")
        return rescued

    async def _go_on(
        self,
        call_sid: str,
        known: Iterable[tuple[Agent, KeptCall]],
        epoch: int,
        leg: Leg,
    ) -> Rescued | None:
        """Return how a call goes on with the first of *known* that can be had."""
        for agent, kept in known:
            if not kept.here:
                self._count(call_sid, "copy")
                search = Search(call_sid, kept.profile, epoch, patient=True, leg=leg)
                return Rescued(search, None, kept)
            rescued = await self._reattach(call_sid, agent, kept, epoch, leg)
            if rescued is not None:
                self._count(call_sid, "reattached")
                return rescued
        return None

    async def _ask_all(self, call_sid: str) -> Survey[Agent]:
        """Return what agents know of a call."""
        heard = asyncio.Event()

        def answer(agent: Agent, kept: KeptCall | None) -> None:
            survey.answer(agent, kept, now=monotonic_s())
            heard.set()

        agents = self._links.all_agents()
        survey: Survey[Agent] = Survey(
            [agent for agent in agents if agent.find(call_sid, answer)],
            now=monotonic_s(),
            patience_s=self._settings.find_timeout_s,
        )
        try:
            while (wait_s := survey.over_at - monotonic_s()) > 0:
                heard.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await heard.wait()
        finally:
            for agent in survey.silent:
                agent.forget(call_sid)
        return survey

    async def _reattach(
        self, call_sid: str, agent: Agent, kept: KeptCall, epoch: int, leg: Leg
    ) -> Rescued | None:
        asked_at = monotonic_s()
        lease = await self._links.lease(
            agent, call_sid=call_sid, profile=kept.profile, epoch=epoch, reattach=True
        )
        if not isinstance(lease, Lease) or lease.kept is None:
            return None
        choice = Choice(agent.region, agent.address, lease.warm, 0.0)
        attempt = Attempt(
            choice,
            cold=False,
            asked_at=asked_at,
            answered_at=monotonic_s(),
            outcome="reattached",
        )
        search = Search(call_sid, kept.profile, epoch, attempts=[attempt], leg=leg)
        return Rescued(search, lease, lease.kept)

    def _count(self, call_sid: str, outcome: str) -> None:
        self._metrics.rescues.labels(outcome=outcome).inc()
        _log.info("call.rescued", call_sid=call_sid, outcome=outcome)
