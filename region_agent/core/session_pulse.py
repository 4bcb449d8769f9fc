"""Finds out whether a session that has a call still answers; the transport may live on.

A model's server that says nothing may have nothing to say. When it has been quiet for
long enough it is asked for something that costs nothing, and any word of it will do.
"""

from dataclasses import dataclass
from typing import Final

__all__ = [
    "AskForAnything",
    "GiveUp",
    "HeardLast",
    "PulseAction",
    "PulseConfig",
    "SessionPulse",
    "TellHeardLast",
]

_HICCUP_S: Final = 0.25
"""Who looks so much too late has not listened either (s)."""


@dataclass(frozen=True, slots=True)
class PulseConfig:
    """How soon a session that answers nothing is found out."""

    quiet_s: float = 4.0
    """After so long without a word it is asked (s)."""
    timeout_s: float = 2.0
    """After so long without an answer it is given up (s)."""


@dataclass(frozen=True, slots=True)
class HeardLast:
    """When the server sent its last event (monotonic s)."""

    at: float


@dataclass(frozen=True, slots=True)
class TellHeardLast:
    """Feed `HeardLast`."""


@dataclass(frozen=True, slots=True)
class AskForAnything:
    """Ask for something that costs nothing."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The session answers nothing any more."""


PulseAction = TellHeardLast | AskForAnything | GiveUp


class SessionPulse:
    """The watch over one session, from the beginning of its call.

    One that says nothing when a call begins may have died in stock, and is asked soon.
    """

    def __init__(self, config: PulseConfig, *, now: float) -> None:
        """Begin at *now* (monotonic s)."""
        self._config = config
        self._began_at = now
        self._asked_at: float | None = None
        self._deadline: float | None = now + config.timeout_s / 2

    def handle(self, event: HeardLast, *, now: float) -> tuple[PulseAction, ...]:
        """Ask, give up, or look again when it is time; see Machine."""
        if self._asked_at is not None and event.at < self._asked_at:
            self._deadline = None
            return (GiveUp(),)
        self._asked_at = None
        ask_at = event.at + self._config.quiet_s
        if event.at >= self._began_at and now < ask_at:
            self._deadline = ask_at
            return ()
        self._asked_at, self._deadline = now, now + self._config.timeout_s
        return (AskForAnything(),)

    def next_deadline(self) -> float | None:
        """Return when to look next; see Machine."""
        return self._deadline

    def expire(self, *, now: float) -> tuple[PulseAction, ...]:
        """Look, unless it was we who did not listen; see Machine."""
        if self._deadline is None or now < self._deadline:
            return ()
        late_s = now - self._deadline
        if late_s > _HICCUP_S:
            self._deadline = now + self._config.timeout_s
            return ()
        self._deadline = None
        return (TellHeardLast(),)
