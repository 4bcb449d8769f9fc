"""Smoothed round-trip time of a link."""

__all__ = ["RttEstimator"]


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
        self.smoothed_rtt_s += (sample_s - self.smoothed_rtt_s) / 8
