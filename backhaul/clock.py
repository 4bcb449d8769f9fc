"""The one place that reads the clock."""

import time

__all__ = ["monotonic_s", "unix_s"]


def monotonic_s() -> float:
    """Return seconds on a clock that never goes back.

    The event loop's own clock is not used for measuring: on uvloop it moves in
    whole milliseconds.
    """
    return time.monotonic()


def unix_s() -> float:
    """Return seconds since 1970-01-01 UTC, for what leaves this process."""
    return time.time()
