"""Which regions a call may go to that are to have only a share of their calls."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from edge.core.routes import Candidate

if TYPE_CHECKING:
    from random import Random

__all__ = ["RegionShares"]

_NOBODY: Final = frozenset[str]()


class RegionShares:
    """The regions that are held back, each down to a share of the calls."""

    def __init__(self, rng: "Random") -> None:
        """Hold nobody back; *rng* draws the lots."""
        self._rng = rng
        self._shares: dict[str, float] = {}

    def set(self, region: str, share: float) -> None:
        """Let *region* have a share of the calls that would go there, 0 to 1."""
        if share < 1:
            self._shares[region] = share
        else:
            self._shares.pop(region, None)

    def of(self, region: str) -> float:
        """Return the share of *region*."""
        return self._shares.get(region, 1.0)

    def held_back(self, candidates: Iterable[Candidate]) -> frozenset[str]:
        """Return where one call may not go of *candidates*; draws one lot, if any.

        Where that would leave nobody who can take it, those with the largest share
        may: a doubtful region is better than none.
        """
        if not self._shares:
            return _NOBODY
        lot = self._rng.random()
        able = [one.region for one in candidates if one.blocked is None]
        held = frozenset(name for name in able if lot >= self.of(name))
        if len(held) < len(able):
            return held
        largest = max((self.of(name) for name in able), default=0.0)
        return frozenset(name for name in able if self.of(name) < largest)
