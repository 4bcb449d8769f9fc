"""Touch tones of the caller, gathered into one message; never to be logged."""

from typing import Final

__all__ = ["KeyPresses"]

DEBOUNCE_S: Final = 1.5
"""Digits that follow each other within this (s) belong together."""
MAX_DIGITS: Final = 32
"""More in one message are dropped and counted."""
_LAST_KEY: Final = "#"


class KeyPresses:
    """Gathers digits until the caller pauses or presses #."""

    def __init__(self) -> None:
        self.dropped = 0
        self._digits = ""
        self._due_at: float | None = None

    def press(self, digit: str, *, now: float) -> str:
        """Take a digit; return all of them when that was the last key."""
        self._due_at = now + DEBOUNCE_S
        if len(self._digits) < MAX_DIGITS:
            self._digits += digit
        else:
            self.dropped += 1
        return self._take() if digit == _LAST_KEY else ""

    def next_deadline(self) -> float | None:
        """Return when the caller will have paused."""
        return self._due_at

    def expire(self, *, now: float) -> str:
        """Return the digits when the caller has paused, else nothing."""
        if self._due_at is None or now < self._due_at:
            return ""
        return self._take()

    def _take(self) -> str:
        digits, self._digits = self._digits, ""
        self._due_at = None
        return digits
