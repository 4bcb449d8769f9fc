"""Finds calls whose edge is gone; see `edge.rescue`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from backhaul.core.messages import KeptCall
from edge.core.routes import Choice
from edge.core.survey import Survey
from edge.search import Attempt, Search
from tests.simulation.agent import PROFILE
from tests.simulation.network import Link

if TYPE_CHECKING:
    from tests.simulation.edge import Edge
    from tests.simulation.placement import Lease

_FIND_S: Final = 1.0

Rescued = Callable[[Search | None, "Lease | None", KeptCall | None], None]
"""Gets how a call goes on; no search: nobody knows of it."""


class Rescue:
    """One search for one call."""

    def __init__(self, edge: "Edge", call_sid: str, rescued: Rescued) -> None:
        self._edge = edge
        self._call_sid = call_sid
        self._rescued = rescued
        self._known: list[tuple[Link, KeptCall]] = []
        self._epoch = 0
        links = (one.link for one in edge.agents.values() if one.ready)
        self._links = [link for link in links if link is not None]
        self._survey: Survey[Link] = Survey(
            self._links, now=edge.clock.now, patience_s=_FIND_S
        )

    def start(self) -> None:
        """Ask every agent."""
        for link in self._links:
            self._ask(link)
        self._wait()

    def _ask(self, link: Link) -> None:
        link.to_agent.send(lambda: link.agent.find(link, self._call_sid, self._answer))

    def _answer(self, link: Link, kept: KeptCall | None) -> None:
        self._survey.answer(link, kept, now=self._edge.clock.now)
        self._wait()

    def _wait(self) -> None:
        wait_s = max(self._survey.over_at - self._edge.clock.now, 0.0)
        self._edge.later(wait_s, self._look)

    def _look(self) -> None:
        if self._epoch or self._survey.over_at > self._edge.clock.now:
            return
        owner = self._edge.world.checker.owner(self._call_sid)
        heard = {
            one.agent.region for one in self._links if one not in self._survey.silent
        }
        if owner is not None and owner.agent.region not in heard:
            self._edge.world.faults.blind.add(self._call_sid)
        self._known = self._survey.best_first()
        self._epoch = self._survey.next_epoch()
        self._next()

    def _next(self) -> None:
        if not self._known:
            self._rescued(None, None, None)
            return
        link, kept = self._known.pop(0)
        search = Search(self._call_sid, PROFILE, self._epoch, patient=True)
        if not kept.here:
            self._rescued(search, None, kept)
            return

        def answered(lease: "Lease | None") -> None:
            if lease is None or lease.kept is None:
                self._next()
                return
            choice = Choice(link.agent.region, link.agent.address, True, 0.0)
            now = self._edge.clock.now
            attempt = Attempt(choice, False, now, now, "reattached")
            search.attempts.append(attempt)
            self._rescued(search, lease, lease.kept)

        self._edge.placement.reattach(link, self._call_sid, self._epoch, answered)
