"""Whether a region gets calls: from its first doubtful sign until it has healed."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

__all__ = [
    "TRANSITIONS",
    "HealthConfig",
    "HealthInput",
    "MoveCalls",
    "RegionHealth",
    "RegionState",
    "RegionStateChanged",
    "ShareChanged",
    "Sighting",
    "Stalled",
    "Surge",
]


class RegionState(Enum):
    """What an edge thinks of a region."""

    HEALTHY = "healthy"
    SUSPECT = "suspect"
    """Something is wrong; it may be nothing, or ourselves."""
    DOWN = "down"
    """No call is sent there."""
    HEALING = "healing"
    """It is back: its agents keep more sessions than usual, and calls return step by
    step."""


class HealthInput(Enum):
    """What sightings come to."""

    DOUBTED = "doubted"
    CLEARED = "cleared"
    """It was nothing."""
    UNREACHABLE = "unreachable"
    """No agent could be reached for long enough."""
    FAILING = "failing"
    """Calls there went badly for long enough."""
    HELD = "held"
    """It was well for as long as is asked of it."""
    HEALED = "healed"


_S, _I = RegionState, HealthInput

TRANSITIONS: Final[dict[tuple[RegionState, HealthInput], RegionState]] = {
    **{(state, given): state for state in RegionState for given in HealthInput},
    (_S.HEALTHY, _I.DOUBTED): _S.SUSPECT,
    (_S.SUSPECT, _I.CLEARED): _S.HEALTHY,
    (_S.SUSPECT, _I.UNREACHABLE): _S.DOWN,
    (_S.SUSPECT, _I.FAILING): _S.DOWN,
    (_S.HEALING, _I.UNREACHABLE): _S.DOWN,
    (_S.HEALING, _I.FAILING): _S.DOWN,
    (_S.DOWN, _I.HELD): _S.HEALING,
    (_S.HEALING, _I.HEALED): _S.HEALTHY,
}
"""Where each input leads from each state; total."""


@dataclass(frozen=True, slots=True)
class HealthConfig:
    """Figures of the health of a region."""

    unreachable_s: float = 1.0
    """Without a usable link to any agent for so long, a region is down (s). Its new
    and its live calls go elsewhere at once, whatever this says."""
    failing_s: float = 3.0
    """With calls going badly for so long, it is down (s)."""
    hold_down_s: float = 2.0
    """A region that was down must be well for so long (s) ..."""
    flap_window_s: float = 600.0
    """... and twice as long for each time that it fell within this time (s) of its
    return ..."""
    max_hold_down_s: float = 300.0
    """... up to this (s)."""
    healing_s: float = 300.0
    """How long its agents keep more sessions than usual after its return (s)."""
    stock_wait_s: float = 30.0
    """Calls return when the stock is full, or after this (s)."""
    shares: tuple[float, ...] = (0.1, 0.25, 0.5, 1.0)
    """Of the calls that would go there: the steps by which they return."""
    step_s: float = 15.0
    """How long each step lasts (s)."""
    self_doubt_s: float = 1.0
    """For so long after a stall of this process nobody is accused (s) ..."""
    max_self_doubt_s: float = 5.0
    """... but however often it stalls, no accusation waits longer than this (s)."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """How a region looks just now."""

    reachable: bool
    """Whether a link to one of its agents is usable."""
    failing: bool = False
    """Whether too many of its calls fail, or are too late."""
    stocked: bool = False
    """Whether its agents have the sessions that they want to have."""


@dataclass(frozen=True, slots=True)
class Stalled:
    """This process stood still; what it saw meanwhile says nothing of others."""


@dataclass(frozen=True, slots=True)
class RegionStateChanged:
    """An edge thinks otherwise of a region now."""

    old: RegionState
    new: RegionState
    reason: HealthInput


@dataclass(frozen=True, slots=True)
class ShareChanged:
    """So many of the calls that would go to the region may, 0 to 1."""

    share: float


@dataclass(frozen=True, slots=True)
class Surge:
    """Ask the region's agents to keep more sessions than usual."""

    length_s: float


@dataclass(frozen=True, slots=True)
class MoveCalls:
    """Its live calls are better off elsewhere."""


HealthAction = RegionStateChanged | ShareChanged | Surge | MoveCalls


class RegionHealth:
    """What one edge thinks of one region; a `Machine`.

    Whether there are enough other regions to do without a failing one is asked of
    *may_eject*: when all look bad, the least bad is still the best.
    """

    def __init__(
        self,
        config: HealthConfig | None = None,
        *,
        may_eject: Callable[[], bool] = lambda: True,
    ) -> None:
        self.state = RegionState.HEALTHY
        self.share = 1.0
        """Of the calls that would go there, how many may."""
        self.reached = False
        """Whether it was ever reachable: before that, it is not there yet."""
        self._config = config or HealthConfig()
        self._may_eject = may_eject
        self._seen = Sighting(reachable=False)
        self._unreachable_since = math.inf
        self._failing_since = math.inf
        self._well_since = math.inf
        self._doubt_until = -math.inf
        self._hold_down_s = self._config.hold_down_s
        self._returned_at = -math.inf
        self._healing_until = math.inf
        self._ramp_from = math.inf
        """When calls began to return, or will at the latest."""

    def handle(
        self, event: Sighting | Stalled, *, now: float
    ) -> tuple[HealthAction, ...]:
        """Take note of *event*; see `backhaul.core.machine.Machine`."""
        if isinstance(event, Stalled):
            self._doubt_until = now + self._config.self_doubt_s
            return ()
        self._note(event, now)
        return self._judge(now) if self.reached else ()

    def next_deadline(self) -> float | None:
        """Return when `expire` wants to be called; see Machine."""
        match self.state:
            case RegionState.HEALTHY:
                return None
            case RegionState.SUSPECT:
                deadline = self._accusation()[0]
            case RegionState.DOWN:
                deadline = self._well_since + self._hold_down_s
            case _:
                ends = (self._accusation()[0], self._next_step(), self._healing_until)
                deadline = min(ends)
        return None if deadline == math.inf else deadline

    def expire(self, *, now: float) -> tuple[HealthAction, ...]:
        """Return what is due at *now*; see Machine."""
        return self._judge(now) if self.reached else ()

    def _note(self, seen: Sighting, now: float) -> None:
        self.reached |= seen.reachable
        self._seen = seen
        self._unreachable_since = _since(
            self._unreachable_since, now, holds=not seen.reachable
        )
        self._failing_since = _since(self._failing_since, now, holds=seen.failing)
        well = seen.reachable and not seen.failing
        self._well_since = _since(self._well_since, now, holds=well)

    def _accusation(self) -> tuple[float, HealthInput]:
        """Return when the region is to be taken for down, and why."""
        config = self._config
        gone_at = self._unreachable_since + config.unreachable_s
        failed_at = self._failing_since + config.failing_s
        if not self._may_eject():
            failed_at = math.inf
        at, why = min((gone_at, _I.UNREACHABLE), (failed_at, _I.FAILING), key=_first)
        doubt_until = min(self._doubt_until, at + config.max_self_doubt_s)
        return max(at, doubt_until), why

    def _judge(self, now: float) -> tuple[HealthAction, ...]:
        well = self._well_since < math.inf
        match self.state:
            case RegionState.HEALTHY if not well:
                # Judged at once, in case that the doubt is a certainty already.
                return (*self._enter(_I.DOUBTED, now), *self._accuse(now))
            case RegionState.SUSPECT:
                return self._enter(_I.CLEARED, now) if well else self._accuse(now)
            case RegionState.DOWN if now >= self._well_since + self._hold_down_s:
                return self._enter(_I.HELD, now)
            case RegionState.HEALING:
                return self._accuse(now) or self._heal(now)
            case _:
                return ()

    def _accuse(self, now: float) -> tuple[HealthAction, ...]:
        at, why = self._accusation()
        return self._enter(why, now) if now >= at else ()

    def _heal(self, now: float) -> tuple[HealthAction, ...]:
        if self._seen.stocked:
            self._ramp_from = min(self._ramp_from, now)
        if now >= self._healing_until:
            return self._enter(_I.HEALED, now)
        return self._set_share(self._ramped(now))

    def _ramped(self, now: float) -> float:
        shares = self._config.shares
        if now < self._ramp_from:
            return 0.0
        step = int((now - self._ramp_from) / self._config.step_s)
        return shares[min(step, len(shares) - 1)]

    def _next_step(self) -> float:
        steps = len(self._config.shares)
        times = (self._ramp_from + n * self._config.step_s for n in range(steps))
        shares = zip(times, self._config.shares, strict=True)
        return next((at for at, share in shares if share > self.share), math.inf)

    def _enter(self, why: HealthInput, now: float) -> tuple[HealthAction, ...]:
        old, self.state = self.state, TRANSITIONS[self.state, why]
        changed = RegionStateChanged(old, self.state, why)
        match self.state:
            case RegionState.DOWN:
                self._lengthen_hold_down(now)
                moved = (MoveCalls(),) if why is _I.FAILING else ()
                return (changed, *self._set_share(0.0), *moved)
            case RegionState.HEALING:
                self._returned_at = now
                self._healing_until = now + self._config.healing_s
                self._ramp_from = now + self._config.stock_wait_s
                surge = Surge(self._config.healing_s)
                return (changed, surge, *self._heal(now))
            case _:
                return (changed, *self._set_share(1.0))

    def _lengthen_hold_down(self, now: float) -> None:
        config = self._config
        relapsed = now < self._returned_at + config.flap_window_s
        longer_s = min(2 * self._hold_down_s, config.max_hold_down_s)
        self._hold_down_s = longer_s if relapsed else config.hold_down_s

    def _set_share(self, share: float) -> tuple[HealthAction, ...]:
        if share == self.share:
            return ()
        self.share = share
        return (ShareChanged(share),)


def _since(known: float, now: float, *, holds: bool) -> float:
    """Return since when something holds, given since when it was *known* to."""
    return min(known, now) if holds else math.inf


def _first(due: tuple[float, HealthInput]) -> float:
    return due[0]
