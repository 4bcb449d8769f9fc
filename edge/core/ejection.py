"""How many regions may be done without: somebody has to take the calls."""

from collections.abc import Mapping

from edge.core.region_health import RegionState

__all__ = ["may_eject"]


def may_eject(name: str, states: Mapping[str, RegionState]) -> bool:
    """Tell whether calls can do without the region *name*, which is failing.

    At most half of the regions may be down, that one included, and one that is well
    must be left: where all look bad, it may be the edge's own doing.

    Args:
        name: The region.
        states: Of every region that was ever reached.
    """
    others = [state for other, state in states.items() if other != name]
    down = others.count(RegionState.DOWN)
    return RegionState.HEALTHY in others and 2 * (down + 1) <= len(others) + 1
