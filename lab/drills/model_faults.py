"""A model's endpoint that closes, refuses or takes its time."""

from lab.drills.scene import Scene
from lab.realtime_faults import Fault

__all__ = ["close_sessions"]


async def close_sessions(scene: Scene) -> None:
    """Let the next reply of each call end half way, its session closed with 1011."""
    scene.strike()
    await scene.misbehave(Fault.CLOSE_1011, count=scene.calls)
