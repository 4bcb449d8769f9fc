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
        self._first: Survey[Link] | None = None
        """What was found at first; only the best of it is tried before asking again."""
        self._asked_again = False

    def start(self) -> None:
        """Ask every agent."""
        links = (one.link for one in self._edge.agents.values() if one.ready)
        asked = [link for link in links if link is not None]
        now = self._edge.clock.now
        survey: Survey[Link] = Survey(asked, now=now, patience_s=_FIND_S)
        over = False

        def look() -> None:
            nonlocal over
            if not over and survey.over_at <= self._edge.clock.now:
                over = True
                self._choose(survey, asked)

        def wait() -> None:
            self._edge.later(max(survey.over_at - self._edge.clock.now, 0.0), look)

        def answer(link: Link, kept: KeptCall | None) -> None:
            survey.answer(link, kept, now=self._edge.clock.now)
            wait()

        for link in asked:
            self._ask(link, answer)
        wait()

    def _ask(self, link: Link, answer: Callable[[Link, KeptCall | None], None]) -> None:
        link.to_agent.send(lambda: link.agent.find(link, self._call_sid, answer))

    def _choose(self, survey: Survey[Link], asked: list[Link]) -> None:
        owner = self._edge.world.checker.owner(self._call_sid)
        heard = {one.agent.region for one in asked if one not in survey.silent}
        if owner is not None and owner.agent.region not in heard:
            self._edge.world.faults.blind.add(self._call_sid)
        if self._first is not None:
            survey.take_along(self._first)
        self._known = survey.best_first()
        if self._first is None:
            self._first, self._known = survey, self._known[:1]
        self._epoch = max(self._epoch + 1, survey.next_epoch())
        self._next()

    def _look_on(self) -> None:
        """The session could not be had."""
        if self._asked_again:
            self._next()
        else:
            self._asked_again = True
            self.start()

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
                self._look_on()
                return
            choice = Choice(link.agent.region, link.agent.address, True, 0.0)
            now = self._edge.clock.now
            attempt = Attempt(choice, False, now, now, "reattached")
            search.attempts.append(attempt)
            self._rescued(search, lease, lease.kept)

        self._edge.placement.reattach(link, self._call_sid, self._epoch, answered)
