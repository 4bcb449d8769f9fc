"""What a caller hears: Twilio's playback queue as a pure model of 8 kHz mu-law.

The queue and the recording are one line of samples. Everything before the current
sample has been heard, everything behind it is still queued.

Source: Twilio's Media Streams message reference (media, mark and clear to Twilio).
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

__all__ = [
    "FRAME_BYTES",
    "SAMPLE_RATE_HZ",
    "SILENCE",
    "Burst",
    "Cleared",
    "Gap",
    "MediaPlayer",
    "audible_end",
    "audible_start",
    "heard_bytes",
]

SAMPLE_RATE_HZ = 8000
FRAME_BYTES = 160
"""20 ms of G.711."""
SILENCE = b"\xff"
"""The quietest mu-law sample."""

_MAX_BUFFERED_BYTES = 600 * SAMPLE_RATE_HZ
"""Ten minutes: Twilio discards what is sent beyond that (warning 31931)."""
_BURST_PAUSE_BYTES = 400 * SAMPLE_RATE_HZ // 1000
"""A dry queue this long ends an utterance; a shorter one is a gap inside it."""
_SMALLEST_GAP_BYTES = 8
"""1 ms: below it, a dry queue cannot be told from rounding."""
_QUIET_STEPS = 16
"""The lowest mu-law segment: at most 124 of 32,635, about -48 dB."""
_LOUD = bytes((~code & 0x7F) >= _QUIET_STEPS for code in range(256))


def audible_start(payload: bytes) -> int | None:
    """Return where the first audible 20 ms frame of *payload* begins, None if none.

    The unit is bytes, which for G.711 is samples.
    """
    first = payload.translate(_LOUD).find(1)
    return None if first < 0 else first - first % FRAME_BYTES


def audible_end(payload: bytes) -> int | None:
    """Return where the last audible 20 ms frame of *payload* ends, None if none."""
    last = payload.translate(_LOUD).rfind(1)
    if last < 0:
        return None
    return min(last - last % FRAME_BYTES + FRAME_BYTES, len(payload))


def heard_bytes(audio: bytes, find: Callable[[bytes], int]) -> int:
    """Return how much of the beginning of *audio* was heard in one piece.

    *find* returns where its argument was heard, -1 if nowhere.
    """
    low, high = 0, len(audio)
    while low < high:
        middle = (low + high + 1) // 2
        if find(audio[:middle]) >= 0:
            low = middle
        else:
            high = middle - 1
    return low


@dataclass(slots=True)
class Burst:
    """One utterance as the caller heard it; times in seconds on the caller's clock.

    Attributes:
        starts_at: When its first sample was played.
        ends_at: When its last sample is, or was, played.
        audible_at: When its first audible frame is played, None while all is silent.
        audible_until: When its last audible frame ends.
        cut: Whether a `clear` or the end of the stream stopped it early.
    """

    starts_at: float
    ends_at: float
    audible_at: float | None = None
    audible_until: float | None = None
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Gap:
    """Silence inside an utterance because the queue ran dry."""

    at_s: float
    length_s: float


@dataclass(frozen=True, slots=True)
class Cleared:
    """The queue was emptied; the bytes between `heard_bytes` and `received_bytes` fell.

    Attributes:
        received_bytes: All audio received until then.
        heard_bytes: How far the caller heard it, on the same count; audio that an
            earlier clear dropped counts as passed.
    """

    at_s: float
    received_bytes: int
    heard_bytes: int


class MediaPlayer:
    """Plays one call's audio; all times are monotonic seconds given by the caller.

    Attributes:
        bursts: Every utterance, oldest first.
        gaps: Every time the queue ran dry inside an utterance.
        received: Every payload byte received in order, whether or not it was heard.
        discarded_bytes: Bytes beyond ten minutes of queue (31931).
        clears: Every time the queue was emptied by the peer.
    """

    def __init__(self, *, started_at: float) -> None:
        self.bursts: list[Burst] = []
        self.gaps: list[Gap] = []
        self.received = bytearray()
        self.discarded_bytes = 0
        self.clears: list[Cleared] = []
        self._voice = bytearray()
        self._started_at = started_at
        self._line = bytearray()
        self._marks: deque[tuple[int, str]] = deque()
        self._next_is_new = True

    def buffered_s(self, *, now: float) -> float:
        """Return how many seconds of audio wait to be played."""
        return self.buffered_bytes(now=now) / SAMPLE_RATE_HZ

    def buffered_bytes(self, *, now: float) -> int:
        """Return how much audio waits to be played."""
        return max(len(self._line) - self._sample(now), 0)

    def voice(self, *, now: float) -> bytes:
        """Return what of the received audio was heard until *now*, pauses left out."""
        return bytes(self._voice[: self._voice_end(now)])

    def find(self, audio: bytes, start: int, *, now: float) -> int:
        """Return where *audio* begins in `voice` from *start* on, -1 if nowhere."""
        return self._voice.find(audio, start, self._voice_end(now))

    def is_audible(self, *, now: float) -> bool:
        """Tell whether the caller is hearing more than silence."""
        return any(
            burst.audible_at is not None
            and burst.audible_until is not None
            and burst.audible_at <= now < burst.audible_until
            for burst in self.bursts[-1:]
        )

    def media(self, payload: bytes, *, now: float) -> None:
        """Queue *payload*; it plays at once when nothing is queued."""
        self.received += payload
        here = self._sample(now)
        room = _MAX_BUFFERED_BYTES - self.buffered_bytes(now=now)
        if len(payload) > room:
            self.discarded_bytes += len(payload) - room
            payload = payload[:room]
        if payload:
            self._note_dry_queue(here)
            self._append(payload)

    def mark(self, name: str, *, now: float) -> tuple[str, ...]:
        """Queue a mark and return the names to echo at once."""
        self._marks.append((len(self._line), name))
        return self.expire(now=now)

    def clear(self, *, now: float) -> tuple[str, ...]:
        """Empty the queue and return every pending mark to echo."""
        received = len(self.received)
        heard = received - self.buffered_bytes(now=now)
        self.clears.append(Cleared(now, received, heard))
        return self.cut(now=now)

    def cut(self, *, now: float) -> tuple[str, ...]:
        """Drop what is queued, as at the end of a stream; return the pending marks."""
        pending = tuple(name for _, name in self._marks)
        self._marks.clear()
        self._next_is_new = True
        here = self._sample(now)
        dropped = self.buffered_bytes(now=now)
        if dropped:
            del self._line[here:]
            del self._voice[-dropped:]
            self._cut_bursts(self._time(here))
        return pending

    def next_deadline(self) -> float | None:
        """Return when the next mark is due, None when none is pending."""
        return self._time(self._marks[0][0]) if self._marks else None

    def expire(self, *, now: float) -> tuple[str, ...]:
        """Return the marks whose audio has been played by *now*."""
        here = self._sample(now)
        due: list[str] = []
        while self._marks and self._marks[0][0] <= here:
            due.append(self._marks.popleft()[1])
        return tuple(due)

    def heard(self, *, now: float) -> bytes:
        """Return all that was heard until *now*, silence included."""
        here = self._sample(now)
        return bytes(self._line[:here]).ljust(here, SILENCE)

    def played(self, start: int, *, now: float) -> bytes:
        """Return what was heard from sample *start* until *now*, silence included."""
        here = self._sample(now)
        return bytes(self._line[start:here]).ljust(max(here - start, 0), SILENCE)

    def _note_dry_queue(self, here: int) -> None:
        """Fill the silence since the queue ran dry and tell a gap from a pause."""
        end = len(self._line)
        dry = here - end
        if dry > 0:
            self._line.extend(SILENCE * dry)
        if self._next_is_new or dry > _BURST_PAUSE_BYTES:
            self._next_is_new = False
            starts_at = self._time(len(self._line))
            self.bursts.append(Burst(starts_at, starts_at))
        elif dry >= _SMALLEST_GAP_BYTES:
            self.gaps.append(Gap(self._time(end), dry / SAMPLE_RATE_HZ))

    def _append(self, payload: bytes) -> None:
        start = len(self._line)
        self._line.extend(payload)
        self._voice.extend(payload)
        burst = self.bursts[-1]
        burst.ends_at = self._time(len(self._line))
        first, last = audible_start(payload), audible_end(payload)
        if first is not None and last is not None:
            if burst.audible_at is None:
                burst.audible_at = self._time(start + first)
            burst.audible_until = self._time(start + last)

    def _cut_bursts(self, at: float) -> None:
        burst = self.bursts[-1]
        burst.ends_at, burst.cut = at, True
        if burst.audible_at is not None and burst.audible_at >= at:
            burst.audible_at = burst.audible_until = None
        elif burst.audible_until is not None:
            burst.audible_until = min(burst.audible_until, at)

    def _voice_end(self, now: float) -> int:
        return len(self._voice) - self.buffered_bytes(now=now)

    def _sample(self, at: float) -> int:
        # A time made of whole samples must give that sample back, whatever the
        # floating point noise of adding it to the start.
        return max(int((at - self._started_at) * SAMPLE_RATE_HZ + 1e-3), 0)

    def _time(self, sample: int) -> float:
        return self._started_at + sample / SAMPLE_RATE_HZ
