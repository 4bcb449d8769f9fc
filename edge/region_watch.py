"""Watches over the regions: which of them get calls, and which share of them."""

import asyncio
import functools
from collections import deque
from dataclasses import dataclass, field
from typing import Final

import structlog

from backhaul.clock import monotonic_s
from backhaul.core import surge
from backhaul.driver import LoopDriver
from edge.agent import Agent
from edge.call import Call
from edge.calls import Calls
from edge.core.ejection import may_eject
from edge.core.region_evidence import RegionEvidence, Sign
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
from edge.links import AgentLinks
from edge.settings import EdgeSettings

__all__ = ["RegionWatch", "WatchedRegion"]

_EVERY_S: Final = 0.1
_MOVES_AT_ONCE: Final = 2
"""Live calls that are sent elsewhere per look: 20 a second."""

_SETTLES_S: Final = 5.0

_log = structlog.get_logger()


@dataclass(slots=True)
class WatchedRegion:
    """What is thought of one region, and why."""

    name: str
    health: RegionHealth
    evidence: RegionEvidence
    since: float
    """When it came to its state (monotonic s)."""
    reason: str = ""
    """How it came to it; empty: it was always so."""
    signs: tuple[Sign, ...] = ()
    """What speaks against it just now."""
    changes: dict[tuple[RegionState, str], int] = field(default_factory=dict)
    """How often it came to a state, by why."""
    surge_ends_at: float = 0.0
    told: set[str] = field(default_factory=set[str])
    """Processes of agents that know of the surge."""

    def settled(self, now: float) -> RegionState:
        """Return its state; one that has only just become well is still in doubt.

        Of regions that all failed for the same reason, one is well first; the others
        must not be given up for that.
        """
        state = self.health.state
        if state is not RegionState.HEALTHY or not self.reason:
            return state
        return state if now - self.since >= _SETTLES_S else RegionState.SUSPECT

    def row(self, *, now: float) -> dict[str, object]:
        """Return it for people."""
        return {
            "state": self.health.state.value,
            "share": self.health.share,
            "reason": self.reason,
            "since_s": round(now - self.since, 1),
            "signs": [sign.value for sign in self.signs],
            "surge_left_s": round(max(self.surge_ends_at - now, 0.0), 1),
        }


class RegionWatch:
    """Looks at every region ten times a second, and does what follows.

    Attributes:
        regions: All of the settings, by name.
    """

    def __init__(
        self, settings: EdgeSettings, *, links: AgentLinks, calls: Calls
    ) -> None:
        """Think well of everybody.

        Args:
            settings: The edge's.
            links: Tell what can be reached, and carry what agents are told.
            calls: Those that may have to move.
        """
        self._links = links
        self._calls = calls
        self._factor = settings.surge_factor
        self._to_move: deque[Call] = deque()
        self._looked_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        config = HealthConfig(healing_s=settings.healing_s)
        now = monotonic_s()
        self.regions = {
            name: WatchedRegion(
                name,
                RegionHealth(
                    config, may_eject=functools.partial(self._may_eject, name)
                ),
                links.evidence_of(name),
                since=now,
            )
            for name in settings.regions
        }
        self._drivers: dict[str, LoopDriver[Sighting | Stalled, HealthAction]] = {}

    def start(self) -> None:
        """Begin to look."""
        for region in self.regions.values():
            self._drivers[region.name] = LoopDriver(
                region.health, functools.partial(self._perform, region)
            )
        self._looked_at = monotonic_s()
        self._wait()

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
        for driver in self._drivers.values():
            driver.close()

    def row(self, region: str, *, now: float) -> dict[str, object]:
        """Return what is thought of *region*, for people; nothing of a strange one."""
        watched = self.regions.get(region)
        return {} if watched is None else watched.row(now=now)

    # Looking

    def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_EVERY_S, self._look)

    def _look(self) -> None:
        self._wait()
        now = monotonic_s()
        late_s, self._looked_at = now - self._looked_at, now
        if late_s > 2 * _EVERY_S:
            # Answers wait unread: what is seen now says more of us than of others.
            for driver in self._drivers.values():
                driver.feed(Stalled())
        agents: dict[str, list[Agent]] = {}
        for agent in self._links.agents.values():
            agents.setdefault(agent.region, []).append(agent)
        for region in self.regions.values():
            self._look_at(region, agents.get(region.name, []), now)
        self._move_calls()

    def _look_at(self, region: WatchedRegion, agents: list[Agent], now: float) -> None:
        region.evidence.measured(_late_p99_s(agents), now=now)
        region.signs = region.evidence.signs(now=now)
        ready = [agent for agent in agents if agent.ready]
        self._drivers[region.name].feed(
            Sighting(
                reachable=bool(ready),
                failing=bool(region.signs),
                stocked=bool(ready) and all(map(self._is_stocked, ready)),
            )
        )
        surge_left_s = region.surge_ends_at - monotonic_s()
        if surge_left_s > 0:
            self._tell_surge(region, ready, surge_left_s)

    def _is_stocked(self, agent: Agent) -> bool:
        stock = agent.stock
        full = all(one.warm >= one.target for one in stock.profiles.values())
        # What it had before it knew of the surge is not what is asked for.
        return stock.draining or (full and stock.surge >= self._factor)

    def _may_eject(self, name: str) -> bool:
        now, regions = monotonic_s(), self.regions.values()
        states = {one.name: one.settled(now) for one in regions if one.health.reached}
        return may_eject(name, states)

    # What follows

    def _perform(self, region: WatchedRegion, action: HealthAction) -> None:
        match action:
            case RegionStateChanged():
                self._note(region, action)
            case ShareChanged(share):
                self._links.router.shares.set(region.name, share)
            case Surge(length_s):
                region.surge_ends_at = monotonic_s() + length_s
                region.told.clear()
            case MoveCalls():
                self._to_move.extend(self._calls.live())

    def _note(self, region: WatchedRegion, changed: RegionStateChanged) -> None:
        reason = changed.reason.value
        region.since, region.reason = monotonic_s(), reason
        key = changed.new, reason
        region.changes[key] = region.changes.get(key, 0) + 1
        log = _log.warning if changed.new is RegionState.DOWN else _log.info
        log(
            "region.state_changed",
            region=region.name,
            old=changed.old.value,
            new=changed.new.value,
            reason=reason,
            signs=[sign.value for sign in region.signs],
            calls=sum(_is_in(call, region.name) for call in self._calls.live()),
        )

    def _tell_surge(
        self, region: WatchedRegion, ready: list[Agent], left_s: float
    ) -> None:
        message = surge.Surge(self._factor, left_s)
        for agent in ready:
            link = agent.link
            if link is not None and link.peer.instance not in region.told:
                region.told.add(link.peer.instance)
                link.send(message)

    def _move_calls(self) -> None:
        """Send some of the calls elsewhere whose region is failing."""
        moved = 0
        while self._to_move and moved < _MOVES_AT_ONCE:
            call = self._to_move.popleft()
            agent = call.session.agent
            region = None if agent is None else self.regions.get(agent.region)
            if region is not None and region.health.state is RegionState.DOWN:
                moved += 1
                call.move()


def _late_p99_s(agents: list[Agent]) -> float | None:
    """Return how late audio of live calls is (s), at the agent where it is latest."""
    busy = (agent.seats.chosen.quality() for agent in agents if agent.call_count)
    return max((quality.late_p99_s for quality in busy), default=None)


def _is_in(call: Call, region: str) -> bool:
    agent = call.session.agent
    return agent is not None and agent.region == region
