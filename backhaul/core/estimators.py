"""What is measured again and again, smoothed."""

from typing import Final

__all__ = ["RttEstimator", "SmoothedMean"]

_WEIGHT: Final = 1 / 8
"""Of the latest sample; the one that RFC 9002 gives round trips."""


class SmoothedMean:
    """Mean of samples of which the later ones count more."""

    def __init__(self, expected: float = 0.0) -> None:
        self.value = expected
        """The mean; before any sample, what was expected."""
        self.samples = 0
        """How many there were."""

    def add(self, sample: float) -> None:
        """Take note of one measurement."""
        share = _WEIGHT if self.samples else 1.0
        self.value += (sample - self.value) * share
        self.samples += 1


class RttEstimator:
    """Smooths round-trip samples.

    Source: RFC 9002, section 5.3 (QUIC), without the ACK-delay term.
    """

    def __init__(self) -> None:
        self.smoothed_rtt_s: float | None = None
        """Smoothed round-trip time (s), None before the first sample."""
        self.jitter_s = 0.0
        """Mean deviation of the round-trip time (s)."""

    def add(self, sample_s: float) -> None:
        """Take note of one measured round trip (s)."""
        if self.smoothed_rtt_s is None:
            self.smoothed_rtt_s = sample_s
            self.jitter_s = sample_s / 2
            return
        deviation_s = abs(self.smoothed_rtt_s - sample_s)
        self.jitter_s += (deviation_s - self.jitter_s) / 4
        self.smoothed_rtt_s += (sample_s - self.smoothed_rtt_s) * _WEIGHT
