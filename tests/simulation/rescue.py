"""Finds calls whose edge is gone; see `edge.rescue`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from backhaul.core.messages import KeptCall
from edge.core.routes import Choice
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
        self._silent: list[Link] = []
        self._known: list[tuple[Link, KeptCall]] = []
        self._epoch = 0

    def start(self) -> None:
        """Ask every agent."""
        links = [one.link for one in self._edge.agents.values() if one.ready]
        for link in links:
            if link is not None:
                self._silent.append(link)
                self._ask(link)
        self._edge.later(_FIND_S if self._silent else 0.0, self._enough)

    def _ask(self, link: Link) -> None:
        link.to_agent.send(lambda: link.agent.find(link, self._call_sid, self._answer))

    def _answer(self, link: Link, kept: KeptCall | None) -> None:
        if link not in self._silent:
            return
        self._silent.remove(link)
        if kept is not None:
            self._known.append((link, kept))
        if not self._silent or (kept is not None and kept.here):
            self._enough()

    def _enough(self) -> None:
        if self._epoch:
            return
        self._silent.clear()
        self._epoch = 1 + max((kept.epoch for _, kept in self._known), default=0)
        self._known.sort(key=lambda one: _worth(one[1]), reverse=True)
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


def _worth(kept: KeptCall) -> tuple[bool, int, int]:
    version = -1 if kept.checkpoint is None else kept.checkpoint.version
    return kept.here, kept.epoch, version
