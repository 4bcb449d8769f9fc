"""Decides what becomes of each packet on one direction of an emulated path.

No clock, no socket: a packet comes in with the time, and its time of arrival or the
reason of its loss goes out.
"""

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta

if TYPE_CHECKING:
    import random

__all__ = ["Conditions", "Drop", "OneWay", "changed", "protocol_of"]

_TCP: Final = 6
_UDP: Final = 17
"""IANA protocol numbers."""

_Milliseconds = Annotated[float, Meta(ge=0, le=60_000)]
_Share = Annotated[float, Meta(ge=0, le=1)]


class Conditions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one direction of a path does to packets."""

    delay_ms: _Milliseconds = 0.0
    """Propagation: what every packet takes at least (ms)."""
    jitter_ms: _Milliseconds = 0.0
    """Up to this much more (ms), uniformly; packets never overtake one another."""
    loss: _Share = 0.0
    """Share of packets lost in the long run."""
    burst: Annotated[int, Meta(ge=1)] = 1
    """Packets lost one after another at each loss; 1: losses are independent."""
    rate_bits_per_s: Annotated[float, Meta(gt=0)] | None = None
    """What the slowest hop carries; None: any rate."""
    queue_bytes: Annotated[int, Meta(ge=1500)] = 256 * 1024
    """What may wait before the slowest hop; what comes on top is dropped."""
    block_udp: bool = False
    """Drop every UDP packet."""
    block_tcp: bool = False
    """Drop every TCP packet."""


def changed(
    conditions: Conditions, changes: Mapping[str, float | bool | None]
) -> Conditions:
    """Return *conditions* with some fields changed.

    Raises:
        ValueError: If a field is unknown or its value out of range.
    """
    return msgspec.convert(
        {**msgspec.structs.asdict(conditions), **changes}, Conditions
    )


class Drop(Enum):
    """Why a packet does not arrive."""

    BLOCKED = "blocked"
    QUEUE_FULL = "queue_full"
    LOST = "lost"


class OneWay:
    """One direction of a path.

    Attributes:
        conditions: In force from the next packet on; what is on its way stays so.
    """

    def __init__(self, conditions: Conditions, rng: "random.Random") -> None:
        self.conditions = conditions
        self._rng = rng
        self._still_to_lose = 0
        self._hop_free_at = 0.0
        self._last_arrival = 0.0

    def send(self, size_bytes: int, protocol: int, *, now: float) -> float | Drop:
        """Return when a packet arrives (s, monotonic), or why it does not.

        Args:
            size_bytes: With its IP header.
            protocol: The number in the IP header.
            now: When it is sent (s); never before that of the packet before.
        """
        conditions = self.conditions
        if protocol == _UDP and conditions.block_udp:
            return Drop.BLOCKED
        if protocol == _TCP and conditions.block_tcp:
            return Drop.BLOCKED
        leaves_at = self._pass_hop(size_bytes, now)
        if leaves_at is None:
            return Drop.QUEUE_FULL
        if self._is_lost():  # behind the slowest hop: it has taken its time there
            return Drop.LOST
        extra_ms = conditions.jitter_ms and self._rng.uniform(0, conditions.jitter_ms)
        arrival = leaves_at + (conditions.delay_ms + extra_ms) / 1000
        self._last_arrival = max(arrival, self._last_arrival)
        return self._last_arrival

    def _pass_hop(self, size_bytes: int, now: float) -> float | None:
        rate = self.conditions.rate_bits_per_s
        if rate is None:
            self._hop_free_at = now
            return now
        begins_at = max(now, self._hop_free_at)
        waiting_bytes = (begins_at - now) * rate / 8
        if waiting_bytes + size_bytes > self.conditions.queue_bytes:
            return None
        self._hop_free_at = begins_at + size_bytes * 8 / rate
        return self._hop_free_at

    def _is_lost(self) -> bool:
        if self._still_to_lose:
            self._still_to_lose -= 1
            return True
        loss, burst = self.conditions.loss, self.conditions.burst
        if loss == 0:
            return False
        # With this chance of beginning a burst, bursts of so many packets amount to
        # the share asked for; for bursts of one it is the share itself.
        if self._rng.random() >= loss / (loss + burst * (1 - loss)):
            return False
        self._still_to_lose = burst - 1
        return True


def protocol_of(packet: bytes) -> int:
    """Return the protocol number of an IP packet; -1 when it is none.

    Source: RFC 791, section 3.1; RFC 8200, section 3.
    """
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:  # noqa: PLR2004 - IPv4, shortest header
        return packet[9]
    if version == 6 and len(packet) >= 40:  # noqa: PLR2004 - IPv6, its header
        return packet[6]
    return -1
