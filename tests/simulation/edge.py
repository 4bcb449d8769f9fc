"""Edges: production's router, region health and calls, in a thin shell."""

import functools
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from backhaul.core import surge
from backhaul.core.close_reason import CloseReason
from backhaul.core.messages import LeaseGranted, LeaseRefused, LeaseRequest, Stock
from edge.core.ejection import may_eject
from edge.core.region_evidence import RegionEvidence
from edge.core.region_health import (
    HealthAction,
    HealthConfig,
    MoveCalls,
    RegionHealth,
    RegionState,
    RegionStateChanged,
    ShareChanged,
    Sighting,
    Stalled,
    Surge,
)
from edge.core.router import Router
from edge.core.routes import Choice, RouterConfig
from edge.search import Attempt, Search
from tests.simulation.agent import PROFILE
from tests.simulation.clock import Driver, Process, Timer
from tests.simulation.network import Link, Path

if TYPE_CHECKING:
    from tests.simulation.call import Call
    from tests.simulation.world import World

_LOOK_S = 0.25
_PATIENCE_S = 0.05
_DIAL_S = 0.4
_OPEN_TIMEOUT_S = 4.0
_WARM_TIMEOUT_S = 1.0
_AGAIN_S = 0.25
_COLD_TRIES = 3
_FACTOR = 1.5
_SETTLES_S = 5.0
HEALTH = HealthConfig(healing_s=20.0, stock_wait_s=5.0, step_s=3.0)

_FAILURES = frozenset({CloseReason.MODEL_UNAVAILABLE, CloseReason.NO_ANSWER})

Answer = LeaseGranted | LeaseRefused
Asking = Generator[tuple[Choice | None, bool], Answer, "Lease | None"]
"""A search at work: yields whom to ask, and whether for a cold session; nobody: waits."""


@dataclass(slots=True)
class Lease:
    """One session of one agent, reserved for one call."""

    lease_id: str
    link: Link
    warm: bool
    epoch: int


@dataclass(slots=True)
class Known:
    """One agent, as an edge knows it."""

    address: str
    region: str
    link: Link | None = None
    stock: Stock = field(default_factory=Stock)

    @property
    def ready(self) -> bool:
        return self.link is not None and self.link.usable


@dataclass(slots=True)
class Watched:
    """What an edge thinks of one region."""

    health: RegionHealth
    driver: Driver[Sighting | Stalled, HealthAction]
    evidence: RegionEvidence
    since: float
    changed: bool = False
    surge_ends_at: float = 0.0
    told: dict[int, None] = field(default_factory=dict[int, None])


class Edge(Process):
    """One process of an edge."""

    def __init__(
        self, world: "World", name: str, paths: dict[str, tuple[Path, Path]]
    ) -> None:
        super().__init__(world.clock)
        self.world = world
        self.name = name
        self.paths = paths
        self.stood_still_s = 0.0
        """For how long at most (s)."""
        self.calls: dict[str, Call] = {}
        self.agents = {
            address: Known(address, region)
            for address, region in world.addresses.items()
        }
        self.router = Router(dict.fromkeys(paths), config=RouterConfig(), rng=world.rng)
        self.regions = {name: self._watch(name) for name in paths}
        self._asked: dict[str, Callable[[Answer], None]] = {}
        self._to_move: list[Call] = []
        self._looked_at = world.clock.now

    def _watch(self, name: str) -> Watched:
        health = self.world.machines.region_health(
            HEALTH, may_eject=functools.partial(self._may_eject, name)
        )
        act = functools.partial(self._perform, name)
        driver: Driver[Sighting | Stalled, HealthAction] = Driver(health, act, self)
        return Watched(health, driver, RegionEvidence(), self.clock.now)

    def start(self) -> None:
        for address, known in self.agents.items():
            self.router.add(address, known.region)
            self._dial(address)
        self._look()

    def kill(self) -> None:
        """SIGKILL: streams and links break."""
        self.alive = False
        for known in self.agents.values():
            if known.link is not None:
                known.link.break_off()
        for call in list(self.calls.values()):
            call.carrier.on_edge_lost(self)

    # Links

    def _dial(self, address: str) -> None:
        known, agent = self.agents[address], self.world.agents[address]
        if known.link is not None:
            return
        out, back = self.paths[known.region]
        if out.blocked or back.blocked or not agent.runs:
            self.later(_DIAL_S, lambda: self._dial(address))
            return
        known.link = link = Link(self.clock, self, agent)
        link.usable = False
        self.world.links.append(link)
        self.later(3 * out.delay_s, lambda: self._dialled(link))

    def _dialled(self, link: Link) -> None:
        if link.closed:
            return
        link.agent.run(lambda: link.agent.on_link_ready(link))
        link.usable = not link.quiet
        self._show(link)

    def on_link_silent(self, link: Link) -> None:
        self._show(link)
        self.later(_PATIENCE_S, lambda: self._give_up(link))

    def on_link_heard(self, link: Link) -> None:
        self._show(link)

    def on_link_lost(self, link: Link) -> None:
        known = self.agents[link.agent.address]
        known.link, known.stock = None, Stock()
        self.router.set_link(known.address, up=False, rtt_s=None)
        self.router.set_stock(known.address, None)
        for lease_id in [key for key in self._asked if self._is_on(key, link)]:
            self._answer(LeaseRefused(lease_id, CloseReason.LINK_LOST))
        for channel in list(link.channels):
            channel.closed_at_edge(CloseReason.LINK_LOST)
        self.world.links.remove(link)
        self.later(_DIAL_S, lambda: self._dial(known.address))

    def _give_up(self, link: Link) -> None:
        if link.closed or link.usable:
            return
        for channel in list(link.channels):
            call = channel.call
            if call is not None:
                channel.close(CloseReason.NO_ANSWER)
                call.on_channel_closed(CloseReason.NO_ANSWER)

    def _show(self, link: Link) -> None:
        if not link.closed:
            address, rtt_s = link.agent.address, 2 * link.out.delay_s
            self.router.set_link(address, up=link.usable, rtt_s=rtt_s)

    def on_stock(self, link: Link, stock: Stock) -> None:
        known = self.agents[link.agent.address]
        if known.link is link:
            known.stock = stock
            self.router.set_stock(known.address, stock)

    # Leases

    def warm(self, search: Search, found: Callable[[Lease | None], None]) -> None:
        """Ask for a warm session; see `edge.placement.Placement.warm`."""
        self._run(search, self._warm(search), found, None)

    def cold(self, search: Search, found: Callable[[Lease | None], None]) -> None:
        """Ask for any session; see `edge.placement.Placement.cold`."""
        self._run(search, self._cold(search), found, None)

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
        while search.wanted and (search.patient or tries < _COLD_TRIES):
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
            self.later(_AGAIN_S, lambda: go_on(nothing))
        else:
            self._ask(search, choice, cold, go_on)

    def _ask(
        self,
        search: Search,
        choice: Choice,
        cold: bool,
        go_on: Callable[[Answer], None],
    ) -> None:
        search.attempts.append(Attempt(choice, cold, asked_at=self.clock.now))
        self.router.asked(choice, PROFILE)
        link = self.agents[choice.address].link
        if link is None or not link.usable:
            self.later(0.0, lambda: go_on(LeaseRefused("", CloseReason.LINK_LOST)))
            return
        lease_id = f"{choice.address}/{self.world.new_number('lease')}"
        epoch = search.epoch
        request = LeaseRequest(lease_id, search.call_sid, PROFILE, epoch, cold)
        limit_s = _OPEN_TIMEOUT_S if cold else _WARM_TIMEOUT_S
        timer = self.later(limit_s, lambda: self._timed_out(lease_id, link))
        self._asked[lease_id] = functools.partial(_settle, timer, go_on)
        self.world.note("lease_asked", lease_id, epoch)
        link.to_agent.send(lambda: link.agent.request(link, request))

    def _timed_out(self, lease_id: str, link: Link) -> None:
        self._take_back(lease_id, link)
        self._answer(LeaseRefused(lease_id, CloseReason.NO_ANSWER))

    @staticmethod
    def _is_on(lease_id: str, link: Link) -> bool:
        return lease_id.partition("/")[0] == link.agent.address

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
        attempt.answered_at = self.clock.now
        refusal = answer.reason if isinstance(answer, LeaseRefused) else None
        self.router.answered(choice, PROFILE, refusal)
        if isinstance(answer, LeaseRefused):
            attempt.outcome = answer.reason.value
            if answer.reason in _FAILURES:
                evidence = self.regions[choice.region].evidence
                evidence.attempted(failed=True, now=self.clock.now)
            return None
        attempt.outcome = "warm" if answer.warm else "cold"
        link = self.agents[choice.address].link
        if link is None:
            return None
        return Lease(answer.lease_id, link, answer.warm, search.epoch)

    def _route(self, search: Search, without: frozenset[str]) -> Choice | None:
        search.decision = self.router.route(PROFILE, asked=without)
        return search.decision.choice

    def _agents_where(self, search: Search) -> frozenset[str]:
        failed = search.failed_regions
        agents = self.agents.values()
        return frozenset(one.address for one in agents if one.region in failed)

    # Regions

    def _look(self) -> None:
        self.later(_LOOK_S, self._look)
        now = self.clock.now
        late_s, self._looked_at = now - self._looked_at, now
        if late_s > 2 * _LOOK_S:
            for region in self.regions.values():
                region.driver.feed(Stalled())
            return
        for name, region in self.regions.items():
            self._look_at(name, region, now)
        self._move_calls()

    def _look_at(self, name: str, region: Watched, now: float) -> None:
        ready = [
            one for one in self.agents.values() if one.region == name and one.ready
        ]
        failing = bool(region.evidence.signs(now=now))
        stocked = bool(ready) and all(map(_is_stocked, ready))
        region.driver.feed(Sighting(bool(ready), failing, stocked))
        if now < region.surge_ends_at:
            message = surge.Surge(_FACTOR, region.surge_ends_at - now)
            for one in ready:
                self._tell_surge(region, one, message)

    def _tell_surge(self, region: Watched, known: Known, message: surge.Surge) -> None:
        link = known.link
        if link is not None and link.agent.instance not in region.told:
            region.told[link.agent.instance] = None
            link.to_agent.send(lambda: link.agent.order_surge(message))

    def _may_eject(self, name: str) -> bool:
        reached = {n: one for n, one in self.regions.items() if one.health.reached}
        return may_eject(name, {n: self._settled(one) for n, one in reached.items()})

    def _settled(self, region: Watched) -> RegionState:
        state = region.health.state
        if state is not RegionState.HEALTHY or not region.changed:
            return state
        young = self.clock.now - region.since < _SETTLES_S
        return RegionState.SUSPECT if young else state

    def _perform(self, name: str, action: HealthAction) -> None:
        region = self.regions[name]
        match action:
            case RegionStateChanged(old, new):
                region.since, region.changed = self.clock.now, True
                self.world.note("region", self.name, name, old.value, new.value)
            case ShareChanged(share):
                self.router.shares.set(name, share)
            case Surge(length_s):
                region.surge_ends_at = self.clock.now + length_s
                region.told.clear()
            case MoveCalls():
                self._to_move.extend(self.calls.values())

    def _move_calls(self) -> None:
        moved = 0
        while self._to_move and moved < 2:
            call = self._to_move.pop(0)
            lease = call.lease or call.seat
            if lease is None:
                continue
            region = self.regions[lease.link.agent.region]
            if region.health.state is RegionState.DOWN:
                moved += 1
                call.move()


def _settle(timer: Timer, go_on: Callable[[Answer], None], answer: Answer) -> None:
    timer.cancel()
    go_on(answer)


def _is_stocked(known: Known) -> bool:
    stock = known.stock
    full = all(one.warm >= one.target for one in stock.profiles.values())
    return stock.draining or (full and stock.surge >= _FACTOR)
