"""When one session is asked to prove that it answers, and how long it may take."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backhaul.core.estimators import RttEstimator

if TYPE_CHECKING:
    from random import Random

__all__ = ["ProofPatience", "SessionProof"]

_NEVER: Final = float("inf")
_SOONEST: Final = 0.4
_LATEST: Final = 0.7
"""The next proof is asked for between these shares of the interval: spread, so that
sessions opened together are not asked together; early, so that what is left of the
interval suffices to find a dead session and to open another."""
_LEAST_PATIENCE_S: Final = 0.25
"""A hiccup of a busy machine is no reason to doubt (s)."""


class ProofPatience:
    """How long a proof may take before it counts as overdue, from those given."""

    def __init__(self, timeout_s: float) -> None:
        """Make it; nothing is waited for longer than *timeout_s* (s)."""
        self.round_trip = RttEstimator()
        self._timeout_s = timeout_s

    @property
    def limit_s(self) -> float:
        """After this long without an answer a session is in doubt (s).

        Source: RFC 6298, section 2 (four times the deviation above the mean).
        """
        mean_s = self.round_trip.smoothed_rtt_s
        if mean_s is None:
            return self._timeout_s / 2
        usual_s = mean_s + 4 * self.round_trip.jitter_s
        return min(max(usual_s, _LEAST_PATIENCE_S), self._timeout_s)


@dataclass(slots=True)
class SessionProof:
    """The proofs of one session; times are monotonic seconds."""

    interval_s: float
    timeout_s: float
    patience: ProofPatience
    given_at: float | None = None
    """When it last answered."""
    ask_at: float = _NEVER
    """When to ask it next."""
    asked_at: float = _NEVER
    """Since when it owes an answer."""
    doubt_at: float = _NEVER
    """From when on the session is in doubt if it does not answer before."""

    @property
    def under_way(self) -> bool:
        """Whether it was asked and has not answered yet."""
        return self.asked_at != _NEVER

    def want(self, *, now: float) -> None:
        """Ask as soon as possible, unless it was asked already."""
        if not self.under_way:
            self.ask_at = now

    def ask(self, *, now: float) -> None:
        """Take note that it was asked."""
        self.ask_at, self.asked_at = _NEVER, now
        self._set_doubt()

    def give(self, *, now: float, rng: "Random") -> None:
        """Take note that it answered."""
        if not self.under_way:
            return
        self.patience.round_trip.add(now - self.asked_at)
        share = _SOONEST + (_LATEST - _SOONEST) * rng.random()
        self.given_at, self.asked_at = now, _NEVER
        self.ask_at = now + share * self.interval_s
        self._set_doubt()

    def excuse(self, *, now: float) -> None:
        """Count none of the time until now: it was we who did not listen."""
        if self.under_way:
            self.asked_at = now
            self._set_doubt()

    def has_failed(self, *, now: float) -> bool:
        """Tell whether the session has owed an answer for too long."""
        return now >= self.asked_at + self.timeout_s

    def next_deadline(self) -> float:
        """Return when it is to be asked, or found to have failed."""
        return min(self.ask_at, self.asked_at + self.timeout_s)

    def _set_doubt(self) -> None:
        given_at = _NEVER if self.given_at is None else self.given_at
        late_at = self.asked_at + self.patience.limit_s
        self.doubt_at = min(given_at + self.interval_s, late_at)
