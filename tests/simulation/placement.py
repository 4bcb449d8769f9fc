"""Finds sessions for the calls of one edge, by production's router and search."""

import functools
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backhaul.core.close_reason import CloseReason
from backhaul.core.messages import KeptCall, LeaseGranted, LeaseRefused, LeaseRequest
from edge.core.routes import Choice
from edge.placement import COLD_TRIES
from edge.search import Attempt, Search
from tests.simulation.agent import PROFILE
from tests.simulation.clock import Timer
from tests.simulation.network import Link

if TYPE_CHECKING:
    from tests.simulation.edge import Edge

_OPEN_TIMEOUT_S: Final = 4.0
_WARM_TIMEOUT_S: Final = 1.0
_AGAIN_S: Final = 0.25
_FAILURES: Final = frozenset({CloseReason.MODEL_UNAVAILABLE, CloseReason.NO_ANSWER})

Answer = LeaseGranted | LeaseRefused
Asking = Generator[tuple[Choice | None, bool], Answer, "Lease | None"]
"""A search at work: yields whom to ask, and whether for a cold session; None: waits."""


@dataclass(slots=True)
class Lease:
    """One session of one agent, reserved for one call."""

    lease_id: str
    link: Link
    warm: bool
    epoch: int
    kept: KeptCall | None = None


class Placement:
    """The searches of one edge; see `edge.placement.Placement`."""

    def __init__(self, edge: "Edge") -> None:
        self._edge = edge
        self._asked: dict[str, Callable[[Answer], None]] = {}

    def __len__(self) -> int:
        """Return how many requests were not answered yet."""
        return len(self._asked)

    def warm(self, search: Search, found: Callable[[Lease | None], None]) -> None:
        """Ask for a warm session; see `edge.placement.Placement.warm`."""
        self._run(search, self._warm(search), found, None)

    def cold(self, search: Search, found: Callable[[Lease | None], None]) -> None:
        """Ask for any session; see `edge.placement.Placement.cold`."""
        self._run(search, self._cold(search), found, None)

    def reattach(
        self,
        link: Link,
        call_sid: str,
        epoch: int,
        found: Callable[[Lease | None], None],
    ) -> None:
        """Ask for the very session of a call."""

        def answered(answer: Answer) -> None:
            granted = isinstance(answer, LeaseGranted)
            lease = Lease(answer.lease_id, link, True, epoch) if granted else None
            if lease is not None and isinstance(answer, LeaseGranted):
                lease.kept = answer.kept
            found(lease)

        self._request(link, call_sid, epoch, answered, cold=False, reattach=True)

    def _warm(self, search: Search) -> Asking:
        while True:
            choice = self._route(search, search.asked)
            if choice is None or not choice.warm:
                return None
            answer = yield choice, False
            lease = self._leased(search, choice, answer)
            if lease is not None:
                return lease

    def _cold(self, search: Search) -> Asking:
        tries = 0
        while search.wanted and (search.patient or tries < COLD_TRIES):
            tries += 1
            failed = search.failed
            choice = self._route(search, failed | self._agents_where(search))
            if choice is None and search.attempts:
                choice = self._route(search, failed)
            if choice is None and failed:
                yield None, True
                choice = self._route(search, frozenset())
            if choice is None and not search.patient:
                return None
            if choice is None:
                yield None, True
            elif search.wanted:
                answer = yield choice, True
                lease = self._leased(search, choice, answer)
                if lease is not None:
                    return lease
        return None

    def _run(
        self,
        search: Search,
        asking: Asking,
        found: Callable[[Lease | None], None],
        answer: Answer | None,
    ) -> None:
        """Go on with a search that got *answer*."""
        try:
            choice, cold = next(asking) if answer is None else asking.send(answer)
        except StopIteration as stop:
            found(stop.value)
            return
        go_on = functools.partial(self._run, search, asking, found)
        if choice is None:
            nothing = LeaseRefused("", CloseReason.NO_STOCK)
            self._edge.later(_AGAIN_S, lambda: go_on(nothing))
        else:
            self._ask(search, choice, cold, go_on)

    def _ask(
        self,
        search: Search,
        choice: Choice,
        cold: bool,
        go_on: Callable[[Answer], None],
    ) -> None:
        search.attempts.append(Attempt(choice, cold, asked_at=self._edge.clock.now))
        self._edge.router.asked(choice, PROFILE)
        link = self._edge.agents[choice.address].link
        if link is None or not link.usable:
            self._edge.later(
                0.0, lambda: go_on(LeaseRefused("", CloseReason.LINK_LOST))
            )
            return
        self._request(link, search.call_sid, search.epoch, go_on, cold=cold)

    def _request(
        self,
        link: Link,
        call_sid: str,
        epoch: int,
        go_on: Callable[[Answer], None],
        *,
        cold: bool,
        reattach: bool = False,
    ) -> None:
        lease_id = f"{link.agent.address}/{self._edge.world.new_number('lease')}"
        request = LeaseRequest(lease_id, call_sid, PROFILE, epoch, cold, reattach)
        limit_s = _OPEN_TIMEOUT_S if cold else _WARM_TIMEOUT_S
        timer = self._edge.later(limit_s, lambda: self._timed_out(lease_id, link))
        self._asked[lease_id] = functools.partial(_settle, timer, go_on)
        self._edge.world.note("lease_asked", lease_id, epoch)
        link.to_agent.send(lambda: link.agent.request(link, request))

    def _timed_out(self, lease_id: str, link: Link) -> None:
        self._take_back(lease_id, link)
        self._answer(LeaseRefused(lease_id, CloseReason.NO_ANSWER))

    def on_link_lost(self, link: Link) -> None:
        for lease_id in list(self._asked):
            if lease_id.partition("/")[0] == link.agent.address:
                self._answer(LeaseRefused(lease_id, CloseReason.LINK_LOST))

    def _answer(self, answer: Answer) -> None:
        go_on = self._asked.pop(answer.lease_id, None)
        if go_on is not None:
            go_on(answer)

    def on_lease_answer(self, link: Link, answer: Answer) -> None:
        if answer.lease_id in self._asked:
            self._answer(answer)
        elif isinstance(answer, LeaseGranted):
            self._take_back(answer.lease_id, link)

    @staticmethod
    def _take_back(lease_id: str, link: Link) -> None:
        link.to_agent.send(lambda: link.agent.release(lease_id))

    def release(self, lease: Lease) -> None:
        """Give a session back unused."""
        self._take_back(lease.lease_id, lease.link)

    def _leased(self, search: Search, choice: Choice, answer: Answer) -> Lease | None:
        attempt = search.attempts[-1]
        attempt.answered_at = self._edge.clock.now
        refusal = answer.reason if isinstance(answer, LeaseRefused) else None
        self._edge.router.answered(choice, PROFILE, refusal)
        if isinstance(answer, LeaseRefused):
            attempt.outcome = answer.reason.value
            if answer.reason in _FAILURES:
                evidence = self._edge.regions[choice.region].evidence
                evidence.attempted(failed=True, now=self._edge.clock.now)
            return None
        attempt.outcome = "warm" if answer.warm else "cold"
        link = self._edge.agents[choice.address].link
        if link is None:
            return None
        return Lease(answer.lease_id, link, answer.warm, search.epoch)

    def _route(self, search: Search, without: frozenset[str]) -> Choice | None:
        search.decision = self._edge.router.route(PROFILE, asked=without)
        return search.decision.choice

    def _agents_where(self, search: Search) -> frozenset[str]:
        failed = search.failed_regions
        agents = self._edge.agents.values()
        return frozenset(one.address for one in agents if one.region in failed)


def _settle(timer: Timer, go_on: Callable[[Answer], None], answer: Answer) -> None:
    timer.cancel()
    go_on(answer)
