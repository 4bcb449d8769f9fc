"""What the caller of one call leaves the line for, and what came of it."""

from prometheus_client import Counter

from backhaul.core.messages import SendDigits, Transfer
from edge.core.errand import Errand, errand_of

__all__ = ["CallErrand"]


class CallErrand:
    """The errands of one call, one after another.

    Attributes:
        present: What the caller is away for, until that is settled.
        outcome: What came of the last one, for an agent that has not heard of it.
        transfers: How many were asked for.
    """

    def __init__(self, transfers: Counter, *, over_sip: bool) -> None:
        """Begin without any.

        Args:
            transfers: Counts them by what became of them.
            over_sip: Whether the call reached the carrier over SIP.
        """
        self.present: Errand | None = None
        self.outcome = "failed"
        self.transfers = 0
        self._counter = transfers
        self._over_sip = over_sip

    def begin(self, message: Transfer | SendDigits) -> Errand | None:
        """Return what is to be done, None when *message* cannot be understood."""
        errand = errand_of(message, over_sip=self._over_sip)
        self.outcome = "failed"
        if isinstance(message, Transfer):
            self.transfers += 1
            if errand is None:
                self._counter.labels(outcome="malformed").inc()
        self.present = errand or self.present
        return errand

    def settle(self, outcome: str) -> None:
        """Take note of what came of it; does nothing without one."""
        errand, self.present = self.present, None
        if errand is not None:
            self.outcome = outcome
            if errand.is_transfer:
                self._counter.labels(outcome=outcome).inc()

    def end(self, *, handed_over: bool) -> None:
        """The call is over."""
        if self.present is not None:
            self.settle(self.present.success if handed_over else "abandoned")
