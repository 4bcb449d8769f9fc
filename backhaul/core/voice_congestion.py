"""Decides how much thin voice traffic may be on its way at once.

Many calls on one connection are a stream of small packets at a known rate that nobody
can slow down without losing speech. A single lost packet says nothing about congestion
there; what does is a queue that keeps growing, or a loss that nothing but a full queue
explains. So the window follows the offered rate, and shrinks for those two only.
"""

import math
from dataclasses import dataclass
from typing import Final

__all__ = ["VoiceCongestionConfig", "VoiceWindow"]

_RATE_MEMORY_S: Final = 0.5
_SRTT_GAIN: Final = 1 / 8
_SAMPLES_FOR_LOSS: Final = 20
"""Packets in a second from which on their loss is a figure and not an accident."""


@dataclass(frozen=True, slots=True)
class VoiceCongestionConfig:
    """Figures of the controller."""

    datagram_bytes: int = 1200
    """Size of a full UDP payload (bytes)."""
    start_datagrams: int = 32
    """Window before anything is known, and while nothing is offered (datagrams)."""
    least_datagrams: int = 2
    """Window that is always left (datagrams)."""
    most_bytes: int = 4 * 1024 * 1024
    """Window that is never exceeded (bytes)."""
    headroom: float = 1.5
    """Window over what the offered rate keeps on its way: lost packets count as being
    on their way until they are known to be lost."""
    slack_s: float = 0.05
    """Added to the round trip (s): batches and acknowledgements wait a little."""
    queue_s: float = 0.02
    """A queueing delay below this (s) is noise."""
    growth_s: float = 0.004
    """From one round to the next, a queue that grows by less (s) stands still."""
    growing_rounds: int = 2
    """Rounds in a row in which a queue has to grow to be taken seriously."""
    least_round_s: float = 0.05
    """Shortest round (s); a round is one round trip otherwise."""
    heavy_loss: float = 0.20
    """Share of packets lost over a second that is congestion whatever the delay."""
    light_loss: float = 0.10
    """Share of packets lost over a second at which the window may grow back."""
    base_memory_s: float = 30.0
    """How long the shortest round trip is believed in (s)."""


class VoiceWindow:
    """The window of one connection.

    After every call, `window_bytes` is what may be on its way. It is at least
    `floor_bytes` unless `queue_grows` or `loss_is_heavy`.

    Attributes:
        window_bytes: What may be on its way, sent and neither acknowledged nor lost.
        queue_grows: Whether the queueing delay grows, round after round.
        loss_is_heavy: Whether the window is held down for a sustained loss.
    """

    def __init__(self, config: VoiceCongestionConfig, *, now: float) -> None:
        self._config = config
        self._start = config.start_datagrams * config.datagram_bytes
        self._least = config.least_datagrams * config.datagram_bytes
        self.window_bytes = self._start
        self.queue_grows = False
        self.loss_is_heavy = False
        self._bulk = float(self._start)
        self._bulk_found = False
        self._rate_per_s = 0.0
        self._rate_at = now
        self._smoothed_s = 0.0
        self._base = _ShortestRoundTrip(config.base_memory_s, now=now)
        self._round = _Round(now)
        self._queue_before_s = 0.0
        self._rounds_grown = 0
        self._drained = float(self._least)
        self._loss = _Second(now)
        self._cap: float | None = None

    @property
    def offered_bytes_per_s(self) -> float:
        """The media rate offered lately (bytes/s)."""
        return self._rate_per_s

    @property
    def floor_bytes(self) -> int:
        """What the offered media keeps on its way (bytes), headroom included."""
        config = self._config
        in_flight = self._rate_per_s * (self._smoothed_s + config.slack_s)
        wanted = max(config.headroom * in_flight, float(self._start))
        return int(min(wanted, config.most_bytes))

    def on_offered(self, size_bytes: int, *, now: float) -> None:
        """Media was handed over to be sent, whether or not the window let it go."""
        elapsed_s = max(now - self._rate_at, 0.0)
        self._rate_at = max(now, self._rate_at)
        self._rate_per_s *= math.exp(-elapsed_s / _RATE_MEMORY_S)
        self._rate_per_s += size_bytes / _RATE_MEMORY_S
        self._decide()

    def on_acked(self, size_bytes: int, *, in_flight_bytes: int, now: float) -> None:
        """A packet arrived.

        Args:
            size_bytes: The packet's size.
            in_flight_bytes: What was on its way, the packet included.
            now: When the acknowledgement came.
        """
        self._round.acked_bytes += size_bytes
        self._loss.acked += 1
        if 2 * in_flight_bytes > self.window_bytes and not self.queue_grows:
            # Only a window that is used proves that the path bears it.
            config = self._config
            slower = config.datagram_bytes / self._bulk if self._bulk_found else 1.0
            self._bulk = min(self._bulk + size_bytes * slower, config.most_bytes)
        self._end_second(now)
        self._decide()

    def on_lost(self, packets: int, *, now: float) -> None:
        """Packets were lost; only a sustained loss of many means congestion."""
        self._loss.lost += packets
        self._end_second(now)
        self._decide()

    def on_round_trip(self, rtt_s: float, *, now: float) -> None:
        """A round trip was measured (s)."""
        self._smoothed_s += (rtt_s - self._smoothed_s) * (
            _SRTT_GAIN if self._smoothed_s else 1.0
        )
        self._base.add(rtt_s, now=now)
        self._round.shortest_s = min(self._round.shortest_s, rtt_s)
        length_s = max(self._smoothed_s, self._config.least_round_s)
        if now - self._round.began_at >= length_s:
            self._end_round(now)
        self._decide()

    def on_path_lost(self) -> None:
        """Nothing arrived for several round trips: what was found out is void."""
        self._bulk, self._bulk_found = float(self._least), True
        self._decide()

    def _end_round(self, now: float) -> None:
        ended, config = self._round, self._config
        self._round = _Round(now)
        queue_s = max(ended.shortest_s - self._base.shortest_s, 0.0)
        grown = (
            queue_s > config.queue_s
            and queue_s > self._queue_before_s + config.growth_s
        )
        self._queue_before_s = queue_s
        self._rounds_grown = self._rounds_grown + 1 if grown else 0
        self.queue_grows = self._rounds_grown >= config.growing_rounds
        if self.queue_grows:
            # What the path delivers in a round trip without a queue empties the queue,
            # but for what is noise: next door a round trip is a fraction of a
            # millisecond, and a queue there is mostly a process that comes late.
            rate_per_s = ended.acked_bytes / max(now - ended.began_at, 1e-3)
            drained = rate_per_s * (self._base.shortest_s + config.queue_s)
            self._drained = min(drained, 0.85 * self.window_bytes)
            self._bulk = min(self._bulk, max(self._drained, float(self._least)))
            self._bulk_found = True

    def _end_second(self, now: float) -> None:
        if now - self._loss.began_at < 1.0:
            return
        ended, self._loss = self._loss, _Second(now)
        if ended.packets < _SAMPLES_FOR_LOSS and self._cap is None:
            return
        share = ended.lost / max(ended.packets, 1)
        if share > self._config.heavy_loss:
            present = float(self.window_bytes) if self._cap is None else self._cap
            self._cap = max(0.7 * present, float(self._least))
        elif self._cap is not None and share <= self._config.light_loss:
            self._cap *= 1.5
            if self._cap >= self.floor_bytes:
                self._cap = None
        self.loss_is_heavy = self._cap is not None

    def _decide(self) -> None:
        window = max(float(self.floor_bytes), self._bulk)
        if self.queue_grows:
            window = self._drained
        if self._cap is not None:
            window = min(window, self._cap)
        self.window_bytes = int(max(window, self._least))


@dataclass(slots=True)
class _Round:
    began_at: float
    acked_bytes: int = 0
    shortest_s: float = math.inf


@dataclass(slots=True)
class _Second:
    began_at: float
    acked: int = 0
    lost: int = 0

    @property
    def packets(self) -> int:
        return self.acked + self.lost


class _ShortestRoundTrip:
    """The shortest round trip of the last one or two halves of a memory."""

    __slots__ = ("_before_s", "_began_at", "_half_s", "_now_s")

    def __init__(self, memory_s: float, *, now: float) -> None:
        self._half_s = memory_s / 2
        self._began_at = now
        self._before_s = math.inf
        self._now_s = math.inf

    @property
    def shortest_s(self) -> float:
        return min(self._before_s, self._now_s)

    def add(self, rtt_s: float, *, now: float) -> None:
        if now - self._began_at > self._half_s:
            self._before_s, self._now_s, self._began_at = self._now_s, math.inf, now
        self._now_s = min(self._now_s, rtt_s)
