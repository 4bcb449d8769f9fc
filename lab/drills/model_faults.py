"""A model's endpoint that closes, refuses or takes its time."""

import asyncio
from typing import Final

from lab.drills.scene import Scene
from lab.drills.verdict import Figures
from lab.drills.witness import Testimony
from lab.realtime_faults import Fault

__all__ = [
    "close_sessions",
    "deafen_sessions",
    "hang_sessions",
    "judge_left",
    "judge_limit",
    "limit_opens",
    "mute_sessions",
    "slow_model",
]

_LIMITED_S: Final = 6.0
_RETRY_AFTER_S: Final = 2.0
_ENDLESS: Final = 1_000_000
_HEARS_WITHIN_S: Final = 2.0
_SLOW_S: Final = 2.5


async def _strike_sessions(scene: Scene, fault: Fault) -> None:
    talking = [call["session_ids"][-1] for call in await scene.live_calls()]
    scene.strike()
    await scene.misbehave(fault, count=len(talking), sessions=talking)


async def close_sessions(scene: Scene) -> None:
    """Let the next reply of each call end half way, its session closed with 1011."""
    await _strike_sessions(scene, Fault.CLOSE_1011)


async def limit_opens(scene: Scene) -> None:
    """Answer 429 to all that want a session, while more callers come than have one."""
    scene.strike()
    await scene.misbehave(Fault.RATE_LIMITED, count=_ENDLESS, seconds=_RETRY_AFTER_S)
    scene.place(2 * scene.calls)
    await asyncio.sleep(_LIMITED_S)
    await scene.misbehave(Fault.NONE)
    async with scene.http.get(f"{scene.fabric.control_url()}/lab/sessions") as response:
        ledger = await response.json()
    scene.notes["refused"] = ledger["refused"].get("429", 0)


def judge_limit(scene: Scene, testimony: Testimony, figures: Figures) -> None:
    """Want few attempts, and every caller to hear something soon."""
    agents = scene.shape.regions * scene.shape.agents
    most = agents * round(_LIMITED_S / _RETRY_AFTER_S + 2)
    refused = scene.notes["refused"]
    if refused > most:
        figures.complaints.append(f"{refused} attempts were refused, limit {most}")
    sounds = [call.first_sound_s for call in testimony.history.calls]
    silent = sum(one is None for one in sounds)
    if silent:
        figures.complaints.append(f"{silent} callers never heard anything")
    slowest = max((one for one in sounds if one is not None), default=0.0)
    if slowest > _HEARS_WITHIN_S:
        figures.strict.append(f"a caller waited {slowest:.1f} s for a sound, limit 2 s")


async def hang_sessions(scene: Scene) -> None:
    """Let the session of each call answer nothing any more, its socket open."""
    await _strike_sessions(scene, Fault.ZOMBIE_NOW)


async def mute_sessions(scene: Scene) -> None:
    """Let the session of each call begin no response any more, and do all else."""
    await _strike_sessions(scene, Fault.MUTE_NOW)


async def deafen_sessions(scene: Scene) -> None:
    """Let the session of each call notice nothing more of what its caller says."""
    await _strike_sessions(scene, Fault.DEAF_NOW)


def judge_left(scene: Scene, testimony: Testimony, figures: Figures) -> None:  # noqa: ARG001
    """Want every call to leave its session, which would never answer."""
    stayed = figures.calls - len(figures.timings)
    if stayed:
        figures.complaints.append(f"{stayed} calls stayed in their sessions")


async def slow_model(scene: Scene) -> None:
    """Let the next two replies of each call begin seconds later than usual."""
    scene.strike()
    count = 4 * scene.calls  # to note a turn down is a response, too
    await scene.misbehave(Fault.SLOW_FIRST_AUDIO, count=count, seconds=_SLOW_S)
