"""Speech in datagrams, as it is sent: repeated as often as the loss asks for.

A datagram holds whole frames of `backhaul.core.frames`, one behind another. Every frame
is sent again with the next frames of its call, so that the datagram which shows a hole
usually fills it too. Where more is lost, a first copy leaves before that, with whatever
other calls send next: then few frames come later than they would have, and those that a
burst of losses took with their first copies are still sent once more. Nothing is ever
asked for again.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from backhaul.core.audio_receiver import MAX_WAIT_S
from backhaul.core.frames import HEADER_BYTES, Frame, encode_frame

__all__ = [
    "MAX_DATAGRAM_BYTES",
    "MAX_DEPTH",
    "AudioPacker",
    "RedundancyDepth",
    "fits_datagram",
]

MAX_DATAGRAM_BYTES: Final = 1120
"""Largest datagram (bytes): with QUIC's own headers and an acknowledgement it fits into
the 1,200 bytes that every path carries. Source: RFC 9000, section 14."""
MAX_DEPTH: Final = 2
"""Most often that a frame is repeated."""
_MOST_REPEATS: Final = 64
"""Most frames of one call that wait to be repeated; 1.3 s of speech."""

_RAISE_AT: Final = (0.003, 0.008)
"""One repetition leaves the square of the loss: at 1 % that is a gap every other second
in fifty calls."""
_LOWER_AT: Final = (0.001, 0.004)
_MEMORY_S: Final = 10
_ENOUGH: Final = 3000
"""Packets of which none was lost that show a loss below 0.1 %, nineteen times in
twenty. Source: the rule of three, 1 - 0.05 ** (1 / n)."""
_LEAST_LOST: Final = 2
"""Lost in one second for the second alone to count."""
_IDLE_S: Final = 30.0
_SOON_S: Final = 0.0015
"""How long after a frame its first copy leaves at the earliest (s): in another batch.
At a rate of 50 calls a batch leaves every 2 ms."""


def fits_datagram(payload_bytes: int) -> bool:
    """Tell whether a frame with so much payload fits into a datagram."""
    return HEADER_BYTES + payload_bytes <= MAX_DATAGRAM_BYTES


class RedundancyDepth:
    """How often frames are repeated: rises within a second, falls after ten.

    It falls sooner when many packets have arrived and none was lost.

    Attributes:
        depth: 0 to MAX_DEPTH; 1 until the loss is known.
        loss: Share of packets lost in the last ten seconds.
    """

    def __init__(self, *, now: float) -> None:
        self.depth = 1
        self.loss = 0.0
        self._seconds: deque[tuple[int, int]] = deque(maxlen=_MEMORY_S)
        self._began_at = now
        self._arrived = 0
        self._lost = 0

    def measured(self, *, arrived: int, lost: int, now: float) -> None:
        """Take note of packets whose fate became known."""
        self._arrived += arrived
        self._lost += lost
        if now - self._began_at >= 1.0:
            self._seconds.append((self._arrived + self._lost, self._lost))
            self._began_at, self._arrived, self._lost = now, 0, 0
            self._choose()

    @property
    def _known(self) -> bool:
        """Whether what was measured says enough to send less."""
        if len(self._seconds) == _MEMORY_S:
            return True
        return not self.loss and sum(sent for sent, _ in self._seconds) >= _ENOUGH

    def _choose(self) -> None:
        sent, lost = self._seconds[-1]
        recent = lost / sent if lost >= _LEAST_LOST else 0.0
        all_lost = sum(lost for _, lost in self._seconds)
        self.loss = all_lost / max(sum(sent for sent, _ in self._seconds), 1)
        wanted = sum(max(recent, self.loss) >= share for share in _RAISE_AT)
        if wanted > self.depth:
            self.depth = wanted
        elif self.depth and self._known and self.loss < _LOWER_AT[self.depth - 1]:
            self.depth -= 1
            self._seconds.clear()


@dataclass(slots=True)
class _Copy:
    """A frame that was sent."""

    encoded: bytes
    times: int
    """How often it is still to be repeated."""


@dataclass(slots=True)
class _Repeats:
    """Frames of one call that are still to be repeated."""

    used_at: float
    copies: list[_Copy] = field(default_factory=list[_Copy])


class AudioPacker:
    """Packs the audio frames of one link into datagrams, below a rate of our own.

    Beyond the rate, repetitions are left out first, and then frames.

    Attributes:
        frames_dropped: Frames that the rate had no room for.
        frames_repeated: Copies sent.
    """

    def __init__(
        self, *, rate_bytes_per_s: float, burst_bytes: float, now: float
    ) -> None:
        self.frames_dropped = 0
        self.frames_repeated = 0
        self._rate_bytes_per_s = rate_bytes_per_s
        self._burst_bytes = burst_bytes
        self._tokens_bytes = burst_bytes
        self._filled_at = now
        self._calls: dict[int, _Repeats] = {}
        self._soon: deque[tuple[float, _Copy]] = deque()
        """Copies that need not wait for their call, with the time they are due."""
        self._datagrams: list[bytearray] = []

    def pack(
        self, frames: Iterable[Frame], *, depth: int, now: float, head: bytes = b""
    ) -> list[bytearray]:
        """Return the datagrams for the *frames* of one turn.

        Args:
            frames: In the order of their sequence; each one fits a datagram.
            depth: How often each of them is to be repeated.
            now: Monotonic time (s).
            head: A frame that the first datagram begins with; it is not repeated.
        """
        self._fill(now)
        self._datagrams = [bytearray(head)] if head else []
        if depth or self._calls:
            self._add_with_copies(frames, depth=depth, now=now)
        else:
            for frame in frames:
                self._add(encode_frame(frame))
        return self._datagrams

    def _add(self, encoded: bytes) -> None:
        if self._take(len(encoded)):
            self._append(encoded)
        else:
            self.frames_dropped += 1

    def _add_with_copies(
        self, frames: Iterable[Frame], *, depth: int, now: float
    ) -> None:
        turns: dict[int, list[bytes]] = {}
        for frame in frames:
            turns.setdefault(frame.channel, []).append(encode_frame(frame))
        for channel, fresh in turns.items():
            self._add_call(channel, fresh, depth=depth, now=now)
        if turns:
            self._add_early_copies(now)
        self._forget(now)

    def _add_call(
        self, channel: int, fresh: list[bytes], *, depth: int, now: float
    ) -> None:
        before = self._calls.pop(channel, None)
        repeats = before.copies if before is not None else []
        sent = [frame for frame in fresh if self._take(len(frame))]
        self.frames_dropped += len(fresh) - len(sent)
        copies = [copy for copy in repeats if self._repeat(copy)]
        self._put([copy.encoded for copy in copies], sent)
        left = [copy for copy in repeats if copy.times]
        if depth:
            new = [_Copy(frame, depth) for frame in sent]
            left += new
            if depth == MAX_DEPTH:
                self._soon.extend((now + _SOON_S, copy) for copy in new)
        if left:
            self._calls[channel] = _Repeats(now, left[-_MOST_REPEATS:])

    def _add_early_copies(self, now: float) -> None:
        while self._soon and self._soon[0][0] <= now:
            due, copy = self._soon.popleft()
            of_use = copy.times == MAX_DEPTH and now - due < MAX_WAIT_S
            if of_use and self._repeat(copy):
                self._append(copy.encoded)

    def _repeat(self, copy: _Copy) -> bool:
        """Count *copy* as sent once more, whether or not the rate has room for it."""
        copy.times -= 1
        fits = self._take(len(copy.encoded))
        self.frames_repeated += fits
        return fits

    def _put(self, copies: list[bytes], fresh: list[bytes]) -> None:
        # The copies of a call stand before what follows them, in the same datagram if
        # they fit there: a receiver that reads on finds no hole.
        wanted = b"".join(copies + fresh)
        if len(wanted) <= MAX_DATAGRAM_BYTES:
            self._append(wanted)
            return
        for frame in copies + fresh:
            self._append(frame)

    def _append(self, encoded: bytes) -> None:
        last = self._datagrams[-1] if self._datagrams else None
        if last is not None and len(last) + len(encoded) <= MAX_DATAGRAM_BYTES:
            last += encoded
        elif encoded:
            self._datagrams.append(bytearray(encoded))

    def _fill(self, now: float) -> None:
        elapsed_s = max(now - self._filled_at, 0.0)
        self._filled_at = now
        filled = self._tokens_bytes + elapsed_s * self._rate_bytes_per_s
        self._tokens_bytes = min(filled, self._burst_bytes)

    def _take(self, size_bytes: int) -> bool:
        if self._tokens_bytes < size_bytes:
            return False
        self._tokens_bytes -= size_bytes
        return True

    def _forget(self, now: float) -> None:
        # Calls stand in the order of their last use; those that ended stay in front.
        while self._calls:
            channel = next(iter(self._calls))
            if now - self._calls[channel].used_at < _IDLE_S:
                return
            del self._calls[channel]
