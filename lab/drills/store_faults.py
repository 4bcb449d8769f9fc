"""A region's Redis that dies, or hangs."""

import asyncio
import signal
from typing import Final

from lab.drills.scene import Scene
from lab.drills.verdict import Figures
from lab.drills.witness import Testimony
from lab.figures import percentile

__all__ = ["hang_store", "judge_store", "kill_store"]

_ADDED_MS: Final = 5.0
_MS: Final = 1000
_SETTLE_S: Final = 2.0


async def kill_store(scene: Scene) -> None:
    """Kill the store of every region; then as many callers more call."""
    await _strike(scene, signal.SIGKILL)
    await scene.wait_ended()


async def hang_store(scene: Scene) -> None:
    """Stop the store of every region, closing nothing, until all calls are over."""
    pids = await _strike(scene, signal.SIGSTOP)
    try:
        await scene.wait_ended()
    finally:
        scene.send_signal(signal.SIGCONT, *pids)


async def _strike(scene: Scene, number: signal.Signals) -> list[int]:
    pids = [scene.fabric.store_pid(region) for region in scene.fabric.regions]
    scene.strike()
    scene.send_signal(number, *pids)
    await asyncio.sleep(_SETTLE_S)
    scene.place(scene.calls)
    return pids


def judge_store(scene: Scene, testimony: Testimony, figures: Figures) -> None:
    """Want new calls to be answered as quickly as before."""
    struck_at = scene.struck_at or 0.0
    before = [
        call.webhook_s
        for call in testimony.history.calls
        if call.webhook_s is not None and call.sent_from < struck_at
    ]
    after = [
        call.webhook_s
        for call in testimony.history.calls
        if call.webhook_s is not None and call.sent_from >= struck_at
    ]
    was, now_is = percentile(before, 99), percentile(after, 99)
    if was is None or now_is is None:
        figures.complaints.append("no call was answered")
    elif (now_is - was) * _MS > _ADDED_MS:
        added_ms = (now_is - was) * _MS
        figures.strict.append(f"answers take {added_ms:.0f} ms longer (p99)")
