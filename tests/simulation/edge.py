"""Edges: production's router, region health and calls, in a thin shell."""

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from backhaul.core import surge
from backhaul.core.close_reason import CloseReason
from backhaul.core.messages import Stock
from backhaul.driver import Driver
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
from edge.core.routes import RouterConfig
from tests.simulation.clock import Process
from tests.simulation.leaving import LeavingCalls
from tests.simulation.network import Link, Path
from tests.simulation.placement import Placement

if TYPE_CHECKING:
    from tests.simulation.call import Call
    from tests.simulation.world import World

_LOOK_S = 0.25
_PATIENCE_S = 0.05
_DIAL_S = 0.4
_FACTOR = 1.5
_SETTLES_S = 5.0
HEALTH = HealthConfig(healing_s=20.0, stock_wait_s=5.0, step_s=3.0)


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
        self.draining = False
        self.stood_still_s = 0.0
        """For how long at most (s)."""
        self.calls: dict[str, Call] = {}
        self.agents = {
            address: Known(address, region)
            for address, region in world.addresses.items()
        }
        self.router = Router(dict.fromkeys(paths), config=RouterConfig(), rng=world.rng)
        self.regions = {name: self._watch(name) for name in paths}
        self.placement = Placement(self)
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

    @property
    def takes_calls(self) -> bool:
        """Whether calls may come here."""
        return self.alive and not self.draining

    def drain(self) -> None:
        """SIGTERM: calls go elsewhere."""
        self.draining = True
        LeavingCalls(self).look()

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
        self.placement.on_link_lost(link)
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


def _is_stocked(known: Known) -> bool:
    stock = known.stock
    full = all(one.warm >= one.target for one in stock.profiles.values())
    return stock.draining or (full and stock.surge >= _FACTOR)
