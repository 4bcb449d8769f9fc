"""Keeps a caller who waits for a session from silence: plays a tone meanwhile."""

import asyncio
from typing import Final

from backhaul.clock import monotonic_s
from edge.core.hold_tone import HoldTone
from edge.line import Line

__all__ = ["Hold"]

_EVERY_S: Final = 0.1


class Hold:
    """The hold tone of one call.

    Attributes:
        heard_s: For how long the caller heard it (s), in all.
        first_at: When it was first heard (monotonic s), None if never.
    """

    def __init__(self, line: Line, period: bytes, *, after_s: float) -> None:
        """Be quiet, until `begin`.

        Args:
            line: Where it is played.
            period: The tone (mu-law), which is repeated.
            after_s: How long it must have been quiet before (s).
        """
        self.heard_s = 0.0
        self.first_at: float | None = None
        self._line = line
        self._period = period
        self._after_s = self._patience_s = after_s
        self._timer: asyncio.TimerHandle | None = None
        self._tone: HoldTone | None = None
        self._began_at = 0.0

    @property
    def waits(self) -> bool:
        """Whether it sounds, or will when it stays quiet."""
        return self._timer is not None

    def begin(self, *, at_least_s: float = 0.0) -> None:
        """Sound once it has been quiet for so long; of several orders, the soonest.

        Args:
            at_least_s: How long it must have been quiet in any case (s).
        """
        patience_s = max(self._after_s, at_least_s)
        if self._timer is not None:
            patience_s = min(patience_s, self._patience_s)
            self._timer.cancel()
        self._patience_s = patience_s
        self._tick()

    def end(self) -> None:
        """Stop, and leave nothing of the tone to be heard."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._tone is not None:
            self._tone = None
            self.heard_s += monotonic_s() - self._began_at
            self._line.drop_tone()

    def _tick(self) -> None:
        now = monotonic_s()
        wait_s = _EVERY_S
        if self._tone is None:
            wait_s = self._line.dry_at + self._patience_s - now
            if wait_s <= 0:
                self._tone, self._began_at = HoldTone(self._period, now=now), now
                self.first_at = self.first_at or now
                wait_s = _EVERY_S
        if self._tone is not None:
            self._line.play_tone(self._tone.due(now=now))
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(wait_s, 0.001), self._tick)
