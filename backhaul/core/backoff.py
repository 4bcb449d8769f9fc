"""How long to wait before the next try."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

__all__ = ["Backoff"]


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff, jittered over the upper half of each bound.

    Attributes:
        first_s: Upper bound of the first wait (s).
        factor: Growth of the bound per failed try.
        max_s: Largest bound (s).

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog.
    """

    first_s: float = 0.1
    factor: float = 2.0
    max_s: float = 10.0

    def wait_s(self, failures: int, *, rng: "Random") -> float:
        """Return the wait (s) after *failures* >= 1 tries failed in a row."""
        # The exponent is capped before the power so that it cannot overflow.
        bound = min(self.first_s * self.factor ** min(failures - 1, 64), self.max_s)
        return bound * (0.5 + 0.5 * rng.random())
