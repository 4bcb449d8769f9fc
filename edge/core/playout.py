"""How far the caller has heard the voice: a playback clock, corrected by marks.

Twilio plays what it was sent at 8 bytes per ms, and returns a mark when everything
sent before it was played. Between two marks the clock runs on by itself. A `clear`
returns all marks at once, which proves nothing: marks carry an epoch.

Positions count the bytes of mu-law given to one caller in one call, in order.

Source: Twilio, "Media Streams - WebSocket Messages" (mark, clear).
"""

import re
from dataclasses import dataclass
from typing import Final

from backhaul.core.g711 import MULAW_RATE_HZ

__all__ = ["MARK_EVERY_BYTES", "Heard", "Playout"]

MARK_EVERY_BYTES: Final = MULAW_RATE_HZ // 2
"""Audio between two marks while another one is on its way: 500 ms. The clock is right
between them (decision 22); they are for a carrier that stops playing for a while."""

_MARK = re.compile(r"([0-9]{1,9}):([0-9]{1,12})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Heard:
    """How much of what was sent the caller heard; the rest was dropped."""

    position: int
    """Position after the last byte sent."""
    heard: int

    @property
    def cut(self) -> bool:
        """Whether anything was dropped."""
        return self.heard < self.position


class Playout:
    """The playback clock of one call; *now* is monotonic time in seconds."""

    def __init__(self) -> None:
        self._epoch = 1
        self._sent = 0
        self._marked = 0
        """Position of the last mark."""
        self._proven = 0
        """Position up to which everything was played, or dropped by a clear."""
        self._anchor = 0
        """The position that was being played at `_anchor_at`."""
        self._anchor_at = 0.0
        self._stopped = False

    @property
    def drained(self) -> bool:
        """Whether everything sent was played, proven by a mark, or dropped."""
        return self._proven == self._sent

    @property
    def given(self) -> int:
        """Position after the last byte sent."""
        return self._sent

    @property
    def played(self) -> int:
        """Position up to which everything was played, proven by a mark."""
        return self._proven

    @property
    def mark_due(self) -> bool:
        """Whether the audio so far wants a mark now.

        The last byte ends up covered without a timer: whenever the last mark has come
        back and there is audio behind it, the next one is due.
        """
        unmarked = self._sent - self._marked
        is_alone = self._proven == self._marked
        return unmarked >= MARK_EVERY_BYTES or (unmarked > 0 and is_alone)

    def resume(self, position: int) -> None:
        """Begin at *position*: so much was given by another edge, and is settled."""
        self._sent = self._marked = self._proven = self._anchor = position

    def sent(self, size: int, *, now: float) -> None:
        """Take note that *size* bytes more were given to the caller."""
        if self.position(now=now) == self._sent:  # the queue was dry: it plays at once
            self._anchor, self._anchor_at = self._sent, now
        self._sent += size

    def mark(self) -> str:
        """Return the name of a mark that must follow what was sent so far."""
        self._marked = self._sent
        return f"{self._epoch}:{self._marked}"

    def echoed(self, name: str, *, now: float) -> int | None:
        """Return up to which position the mark *name* proves that all was played.

        None for a mark that proves nothing: of an old epoch, seen before, not ours.
        """
        match = _MARK.fullmatch(name)
        if match is None or int(match[1]) != self._epoch or self._stopped:
            return None
        position = int(match[2])
        if not self._proven < position <= self._marked:
            return None
        self._proven = self._anchor = position
        self._anchor_at = now
        return position

    def position(self, *, now: float) -> int:
        """Return how far the caller has heard what was sent (estimate)."""
        if self._stopped:
            return self._anchor
        elapsed = max(int((now - self._anchor_at) * MULAW_RATE_HZ), 0)
        return min(self._anchor + elapsed, self._sent)

    def clear(self, *, now: float) -> Heard:
        """Forget what was not played yet, as Twilio does at a `clear`."""
        heard = Heard(self._sent, self.position(now=now))
        self._epoch += 1
        self._marked = self._proven = self._anchor = self._sent
        self._anchor_at = now
        return heard

    @property
    def dry_at(self) -> float:
        """Since when, or until when, there is something to hear (monotonic s)."""
        return self._anchor_at + (self._sent - self._anchor) / MULAW_RATE_HZ

    def stop(self, *, now: float) -> None:
        """The stream ends: what was not played by now never is."""
        self._anchor = self.position(now=now)
        self._stopped = True

    def restart(self, *, now: float) -> Heard:
        """Another stream goes on with the call; nothing is queued on it.

        Returns:
            How much was heard of what was sent before.
        """
        heard = self.clear(now=now)
        self._stopped = False
        return heard
