"""Processes that run out of descriptors, stand still, or are not read from."""

import asyncio
import resource
import signal
from pathlib import Path
from typing import Final

from lab.drills.region_faults import LEAVING
from lab.drills.scene import Scene
from lab.drills.verdict import Figures
from lab.drills.witness import Testimony

__all__ = [
    "judge_memory",
    "judge_refusals",
    "judge_stall",
    "limit_descriptors",
    "measure_memory",
    "stall_loops",
]

_SPARE_DESCRIPTORS: Final = 2
_LIMITED_S: Final = 8.0
_TOLD_WITHIN_S: Final = 15.0

_STALL_S: Final = 0.3
_STALL_EVERY_S: Final = 1.0
_STALLS: Final = 8
_SHORT_STALLS: Final = 3

_LOOK_S: Final = 0.25
_AFTERWARDS_S: Final = 3.0
_MEMORY_PER_CALL_BYTES: Final = 256 * 1024
_BASE_BYTES: Final = 4 * 1024 * 1024
"""What a process takes more while it goes on, whatever is read from it."""


async def limit_descriptors(scene: Scene) -> None:
    """Let an agent and an edge have hardly any descriptor left; more callers call."""
    region = await scene.busiest()
    pids = [scene.agent_pids(region)[0], scene.fabric.pid(scene.fabric.edges[0].name)]
    scene.strike()
    limits = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in pids}
    for pid, (_, hard) in limits.items():
        soft = _descriptors(pid) + _SPARE_DESCRIPTORS
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    other = scene.fabric.public_url(scene.fabric.edges[-1])
    scene.place(scene.calls, fallback_url=f"{other}/twilio/voice")
    await asyncio.sleep(_LIMITED_S / 2 if scene.short else _LIMITED_S)
    for pid, limit in limits.items():
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)


def judge_refusals(scene: Scene, testimony: Testimony, figures: Figures) -> None:
    """Want callers who cannot be served to be told so soon."""
    struck_at = scene.struck_at or 0.0
    late = [
        call
        for call in testimony.history.calls
        if call.began_at >= struck_at
        and call.first_sound_s is None
        and call.ended_at - call.began_at > _TOLD_WITHIN_S
    ]
    if late:
        figures.strict.append(f"{len(late)} callers were neither served nor told so")


def _descriptors(pid: int) -> int:
    """Return the highest descriptor in use: that is what the limit counts."""
    return 1 + max(int(path.name) for path in Path(f"/proc/{pid}/fd").iterdir())


async def stall_loops(scene: Scene) -> None:
    """Let an edge, and then an agent, stand still for 0.3 s, again and again."""
    region = await scene.busiest()
    edge = scene.fabric.pid(scene.fabric.edges[0].name)
    agent = scene.agent_pids(region)[0]
    scene.strike()
    for pid in (edge, agent):
        for _ in range(_SHORT_STALLS if scene.short else _STALLS):
            scene.send_signal(signal.SIGSTOP, pid)
            try:
                await asyncio.sleep(_STALL_S)
            finally:
                scene.send_signal(signal.SIGCONT, pid)
            await asyncio.sleep(_STALL_EVERY_S - _STALL_S)


def judge_stall(scene: Scene, testimony: Testimony, figures: Figures) -> None:
    """Want nobody to be accused, and no call to move, for a moment's stall."""
    struck_at = scene.struck_at or 0.0
    downs = [
        facts["region"]
        for at, facts in testimony.events("region.state_changed")
        if at >= struck_at and facts["new"] == "down"
    ]
    if downs:
        figures.strict.append(f"accused: {', '.join(downs)}")
    changes = testimony.history.changes
    moved = sum(one.new in LEAVING and one.at >= struck_at for one in changes)
    if moved:
        figures.strict.append(f"{moved} moves of calls")


async def measure_memory(scene: Scene) -> None:
    """Watch what the edges and agents take while the carrier does not read."""
    pause = scene.shape.read_pause
    for_s = 0.0 if pause is None else pause.for_s + _AFTERWARDS_S
    pids = [scene.fabric.pid(edge.name) for edge in scene.fabric.edges]
    for region in scene.fabric.regions:
        pids += scene.agent_pids(region)
    before = {pid: _resident_bytes(pid) for pid in pids}
    scene.strike()
    most = dict(before)
    for _ in range(round(for_s / _LOOK_S)):
        await asyncio.sleep(_LOOK_S)
        most = {pid: max(most[pid], _resident_bytes(pid)) for pid in pids}
    scene.notes["grown_bytes"] = max(most[pid] - before[pid] for pid in pids)


def judge_memory(scene: Scene, _: Testimony, figures: Figures) -> None:
    """Want what waits for the carrier to be bounded."""
    grown: int = scene.notes["grown_bytes"]
    most = _BASE_BYTES + _MEMORY_PER_CALL_BYTES * scene.calls
    if grown > most:
        figures.complaints.append(
            f"a process grew by {grown // 1024} KB, limit {most // 1024} KB"
        )


def _resident_bytes(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize()
