"""All drills."""

from types import MappingProxyType
from typing import Final

from lab.drills.drill import Drill, under_calls
from lab.drills.model_faults import close_sessions
from lab.drills.region_faults import blackhole_region, hang_region, kill_region
from lab.drills.verdict import Limits, Since

__all__ = ["DRILLS"]

_ALL: Final = (
    Drill(
        "region-kill",
        "all agents of the region that has the calls are killed",
        under_calls(kill_region),
        limits=Limits(detect_ms=300, restore_ms=1000),
    ),
    Drill(
        "region-hang",
        "all agents of the region stop, and close nothing",
        under_calls(hang_region),
        limits=Limits(detect_ms=1000, restore_ms=2000),
    ),
    Drill(
        "region-blackhole",
        "nothing comes through to the region any more",
        under_calls(blackhole_region),
        limits=Limits(detect_ms=1000, restore_ms=2000),
    ),
    Drill(
        "model-close",
        "the model's endpoint closes each call's session in mid-reply, with 1011",
        under_calls(close_sessions),
        limits=Limits(restore_ms=800),
        since=Since.CLOSE,
    ),
)

DRILLS: Final = MappingProxyType({drill.name: drill for drill in _ALL})
"""Every drill, by its name."""
