"""Which of an agent's two transports its calls should use, as measured."""

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from edge.core.link_load import PathQuality

__all__ = [
    "TRANSITIONS",
    "ChoiceConfig",
    "ChoiceInput",
    "ChoiceState",
    "Measured",
    "TransportChanged",
    "TransportChooser",
    "TransportView",
]


class ChoiceState(Enum):
    """Which transport carries the calls."""

    ON_PREFERRED = "on_preferred"
    ON_STANDBY = "on_standby"


class ChoiceInput(Enum):
    """What measurements come to."""

    FAILED = "failed"
    """The present one stalled, is gone or loses too much, and the other does not."""
    OUTDONE = "outdone"
    """The standby has been clearly better for long enough."""
    RECOVERED = "recovered"
    """The preferred one has been well for long enough."""
    BOTH_GONE = "both_gone"
    """Neither can carry a call; whatever comes back first is as good as new."""


_S, _I = ChoiceState, ChoiceInput

TRANSITIONS: Final[dict[tuple[ChoiceState, ChoiceInput], ChoiceState]] = {
    (_S.ON_PREFERRED, _I.FAILED): _S.ON_STANDBY,
    (_S.ON_PREFERRED, _I.OUTDONE): _S.ON_STANDBY,
    (_S.ON_PREFERRED, _I.RECOVERED): _S.ON_PREFERRED,
    (_S.ON_PREFERRED, _I.BOTH_GONE): _S.ON_PREFERRED,
    (_S.ON_STANDBY, _I.FAILED): _S.ON_PREFERRED,
    (_S.ON_STANDBY, _I.OUTDONE): _S.ON_STANDBY,
    (_S.ON_STANDBY, _I.RECOVERED): _S.ON_PREFERRED,
    (_S.ON_STANDBY, _I.BOTH_GONE): _S.ON_PREFERRED,
}
"""Where each input leads from each state; total."""


@dataclass(frozen=True, slots=True)
class ChoiceConfig:
    """Figures of the choice."""

    margin_s: float = 0.010
    """One transport is better than the other when its p99 delay is shorter by more
    than this (s) ..."""
    margin_share: float = 0.20
    """... and by more than this share of the other's."""
    outdone_s: float = 5.0
    """For so long before calls leave the preferred transport for it (s)."""
    well_s: float = 10.0
    """For so long a transport that failed must be well to be used again (s) ..."""
    relapse_s: float = 60.0
    """... and twice as long each time that it fails within this time (s) of its
    return: some paths only work while nobody uses them ..."""
    most_well_s: float = 300.0
    """... up to this (s)."""
    bad_loss: float = 0.20
    """A transport that loses this share is bad; well again below half of it."""


@dataclass(frozen=True, slots=True)
class TransportView:
    """One transport to one agent, as measured just now."""

    usable: bool = False
    """Whether a link is ready whose peer answers."""
    quality: PathQuality = field(default_factory=PathQuality)


@dataclass(frozen=True, slots=True)
class Measured:
    """Both transports were looked at."""

    preferred: TransportView
    standby: TransportView


@dataclass(frozen=True, slots=True)
class TransportChanged:
    """Calls should use another transport from now on."""

    old: ChoiceState
    new: ChoiceState
    reason: ChoiceInput


class TransportChooser:
    """Chooses between two transports with hysteresis; a `Machine`.

    A transport that fails is left at once, one that is merely slower after a while.
    """

    def __init__(self, config: ChoiceConfig | None = None) -> None:
        self.state = ChoiceState.ON_PREFERRED
        self._config = config or ChoiceConfig()
        self._seen = Measured(TransportView(), TransportView())
        self._lossy = [False, False]
        self._has_worked = False
        """Whether the preferred one could carry calls since both were gone."""
        self._well_s = self._config.well_s
        self._back_at = -math.inf
        """When calls came back to the preferred one (s)."""
        self._is_trial = False
        """Whether they did so because it had been well, not because they had to."""
        self._since: float | None = None
        """Since when there has been a reason to change (s)."""

    def handle(self, event: Measured, *, now: float) -> tuple[TransportChanged, ...]:
        """Take note of *event*; see `backhaul.core.machine.Machine`."""
        self._seen = event
        self._note_loss()
        changed = self._judge(now)
        if self.state is _S.ON_PREFERRED:
            self._has_worked |= event.preferred.usable
        return changed

    def next_deadline(self) -> float | None:
        """Return when `expire` wants to be called; see Machine."""
        return None if self._since is None else self._since + self._hold_s

    def expire(self, *, now: float) -> tuple[TransportChanged, ...]:
        """Return what is due at *now*; see Machine."""
        return self._judge(now)

    def _note_loss(self) -> None:
        """A transport that was bad must be a good deal better to be well again."""
        views = (self._seen.preferred, self._seen.standby)
        for index, view in enumerate(views):
            limit = self._config.bad_loss / (2 if self._lossy[index] else 1)
            self._lossy[index] = view.quality.loss >= limit

    def _judge(self, now: float) -> tuple[TransportChanged, ...]:
        present, other = self._seen.preferred, self._seen.standby
        present_lossy, other_lossy = self._lossy
        if self.state is _S.ON_STANDBY:
            present, other = other, present
            present_lossy, other_lossy = other_lossy, present_lossy
        if not (present.usable or other.usable):
            self._has_worked = False
            return self._enter(_I.BOTH_GONE, now)
        if other.usable and not present.usable:
            return self._enter(_I.FAILED, now)
        if other.usable and present_lossy and not other_lossy:
            return self._enter(_I.FAILED, now)
        return self._wait_for_better(now)

    def _wait_for_better(self, now: float) -> tuple[TransportChanged, ...]:
        if not self._is_wanted():
            self._since = None
            return ()
        if self._since is None:
            self._since = now
        if now < self._since + self._hold_s:
            return ()
        on_preferred = self.state is _S.ON_PREFERRED
        return self._enter(_I.OUTDONE if on_preferred else _I.RECOVERED, now)

    def _is_wanted(self) -> bool:
        """Tell whether there is a reason to change that only has to last."""
        preferred, standby = self._seen.preferred, self._seen.standby
        preferred_lossy, standby_lossy = self._lossy
        if self.state is _S.ON_PREFERRED:
            return (
                standby.usable
                and standby_lossy <= preferred_lossy
                and self._better(standby.quality, preferred.quality)
            )
        return (
            preferred.usable
            and preferred_lossy <= standby_lossy
            and not self._better(standby.quality, preferred.quality)
        )

    @property
    def _hold_s(self) -> float:
        if self.state is _S.ON_PREFERRED:
            return self._config.outdone_s
        return self._well_s if self._has_worked else 0.0

    def _better(self, one: PathQuality, other: PathQuality) -> bool:
        gained_s = other.delay_p99_s - one.delay_p99_s
        share_s = self._config.margin_share * other.delay_p99_s
        return gained_s > max(self._config.margin_s, share_s)

    def _enter(self, why: ChoiceInput, now: float) -> tuple[TransportChanged, ...]:
        old, self.state = self.state, TRANSITIONS[self.state, why]
        self._since = None
        if old is self.state:
            return ()
        if self.state is _S.ON_STANDBY:
            self._note_relapse(now)
        else:
            self._back_at = now
            self._is_trial = why is _I.RECOVERED and self._has_worked
        return (TransportChanged(old, self.state, why),)

    def _note_relapse(self, now: float) -> None:
        """The preferred transport is left: was it used again for long enough?"""
        if now >= self._back_at + self._config.relapse_s:
            self._well_s = self._config.well_s
        elif self._is_trial:
            self._well_s = min(2 * self._well_s, self._config.most_well_s)
