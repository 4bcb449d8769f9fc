"""Regions that die, hang, vanish, lose, or are only half well."""

import asyncio
import signal
from typing import Final

from lab.drills.scene import Scene

__all__ = ["blackhole_region", "hang_region", "kill_region"]

_HANGS_S: Final = 6.0


async def kill_region(scene: Scene) -> None:
    """Kill all agents of the region that has the calls, in one moment."""
    region = await scene.busiest()
    pids = scene.agent_pids(region)
    scene.strike()
    scene.send_signal(signal.SIGKILL, *pids)


async def hang_region(scene: Scene) -> None:
    """Stop all agents of the region, and let them go on when nobody needs them."""
    region = await scene.busiest()
    pids = scene.agent_pids(region)
    scene.strike()
    scene.send_signal(signal.SIGSTOP, *pids)
    try:
        await asyncio.sleep(_HANGS_S)
    finally:
        scene.send_signal(signal.SIGCONT, *pids)


async def blackhole_region(scene: Scene) -> None:
    """Let nothing through to the region any more, nor from it, for a while."""
    region = await scene.busiest()
    routes = scene.fabric.routes(region)
    scene.strike()
    await scene.wan(routes, blocked=True)
    await asyncio.sleep(_HANGS_S)
    await scene.wan(routes, blocked=False)
