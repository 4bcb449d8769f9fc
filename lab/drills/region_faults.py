"""Regions that die, hang, vanish, lose, are only half well, or come and go."""

import asyncio
import signal
from collections import Counter
from itertools import pairwise
from typing import Final

from backhaul.clock import monotonic_s
from lab.drills.history import Change
from lab.drills.scene import Scene
from lab.drills.verdict import Figures
from lab.drills.witness import Testimony
from lab.realtime_faults import Fault

__all__ = [
    "blackhole_region",
    "flap_region",
    "gray_region",
    "hang_region",
    "judge_flap",
    "judge_gray",
    "judge_loss",
    "kill_region",
    "lose_one_way",
]

_HANGS_S: Final = 6.0

_LITTLE_LOSS: Final = 0.02
_MUCH_LOSS: Final = 0.3
_JITTER_MS: Final = 150.0
_PHASE_S: Final = 5.0
_ACTS_WITHIN_S: Final = 2.0
_LOOK_S: Final = 0.05

_GRAY_MS: Final = 400.0
_GRAY_EVERY: Final = 5
_GRAY_OUT_S: Final = 10.0
_FEW: Final = 0.1
_ENDLESS: Final = 1_000_000

_FLAP_S: Final = 5.0
_FLAPS: Final = 12
_SHORT_FLAPS: Final = 2
_MAX_RETURNS: Final = 3
_MINUTE_S: Final = 60.0
LEAVING: Final = frozenset({"holding", "moving"})
"""States of a call that has lost its session, or is to get another one."""


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


# Loss in one direction


async def lose_one_way(scene: Scene) -> None:
    """Lose little, and delay unevenly, both ways; then lose much of what goes out."""
    region = await scene.busiest()
    routes = scene.fabric.routes(region)
    phase_s = _PHASE_S / 2 if scene.short else _PHASE_S
    scene.notes["harmless_from"] = monotonic_s()
    await scene.wan(routes, loss=_LITTLE_LOSS)
    await asyncio.sleep(phase_s)
    await scene.wan(routes, loss=0.0, jitter_ms=_JITTER_MS)
    await asyncio.sleep(phase_s)
    await scene.wan(routes, jitter_ms=0.0)
    scene.notes["harmless_until"] = monotonic_s()
    before = await _moves(scene)
    scene.strike()
    await scene.wan(routes, loss=_MUCH_LOSS, towards="target")
    await _await_act(scene, before)
    await asyncio.sleep(phase_s)
    await scene.wan(routes, loss=0.0)


async def _await_act(scene: Scene, before: float) -> None:
    """Note when calls were first moved to another link or session."""
    began = monotonic_s()
    while monotonic_s() < began + 2 * _PHASE_S:
        if await _moves(scene) > before:
            scene.notes["acted_s"] = monotonic_s() - began
            return
        await asyncio.sleep(_LOOK_S)


async def _moves(scene: Scene) -> float:
    names = (
        "edge_channel_moves_total",
        "edge_calls_moved_total",
        "edge_sessions_lost_total",
    )
    return sum(
        [await scene.metric(edge, name) for edge in scene.edges() for name in names]
    )


def judge_loss(scene: Scene, testimony: Testimony, figures: Figures) -> None:
    """Want much loss to be acted on, and little loss and jitter not to be."""
    begin, end = scene.notes["harmless_from"], scene.notes["harmless_until"]
    moved = [one for one in _leaving(testimony) if begin <= one.at <= end]
    if moved:
        figures.strict.append(f"{len(moved)} moves at 2 % loss or 150 ms jitter")
    acted_s = scene.notes.get("acted_s")
    if acted_s is None:
        figures.strict.append("loss of 30 % one way was never acted on")
    elif acted_s > _ACTS_WITHIN_S:
        figures.strict.append(f"acted on after {acted_s:.1f} s, limit 2 s")


def _leaving(testimony: Testimony) -> list[Change]:
    return [one for one in testimony.history.changes if one.new in LEAVING]


# Half well


async def gray_region(scene: Scene) -> None:
    """Let the region be slow, and fail one reply and one session in five."""
    region = await scene.busiest()
    scene.notes["region"] = region.name
    for edge in scene.fabric.edges:
        slow_ms = scene.fabric.delay_ms(edge, region) + _GRAY_MS
        own = [f"{edge.name}>{name}" for name in scene.fabric.agent_names(region)]
        await scene.wan(own, delay_ms=slow_ms)
    scene.strike()
    every = 2 if scene.short else _GRAY_EVERY
    for kind in (Fault.CLOSE_1011, Fault.SERVER_ERROR):
        await scene.misbehave(kind, region=region, count=_ENDLESS, every=every)
    scene.place(scene.calls)
    await asyncio.sleep(_GRAY_OUT_S + 2.0)
    await scene.misbehave(Fault.NONE, region=region)


def judge_gray(scene: Scene, testimony: Testimony, figures: Figures) -> None:
    """Want the region to be given up in time, or nearly all calls to have left it.

    The delay alone makes live calls leave and new ones go elsewhere; then too few see
    its sessions fail, and there is nothing to give up.
    """
    region, until = scene.notes["region"], (scene.struck_at or 0.0) + _GRAY_OUT_S
    given_up = any(
        at <= until and facts["new"] == "down" and facts["region"] == region
        for at, facts in testimony.events("region.state_changed")
    )
    share = testimony.history.share_of(region, at=until)
    if not given_up and share > _FEW:
        figures.strict.append(
            f"{region} was not given up within {_GRAY_OUT_S:g} s, "
            f"and has {share:.0%} of the calls"
        )


# Coming and going


async def flap_region(scene: Scene) -> None:
    """Let the region vanish for 5 s and be there for 5 s, again and again."""
    region = await scene.busiest()
    routes = scene.fabric.routes(region)
    scene.strike()
    for _ in range(_SHORT_FLAPS if scene.short else _FLAPS):
        await scene.wan(routes, blocked=True)
        await asyncio.sleep(_FLAP_S)
        await scene.wan(routes, blocked=False)
        await asyncio.sleep(_FLAP_S)


def judge_flap(_: Scene, testimony: Testimony, figures: Figures) -> None:
    """Want the region to be used again seldom, and calls to move seldom."""
    returns = Counter(
        facts["region"]
        for _, facts in testimony.events("region.state_changed")
        if facts["new"] == "healing"
    )
    for region, count in returns.items():
        if count > _MAX_RETURNS:
            figures.strict.append(f"{region} came back {count} times")
    moves: dict[str, list[float]] = {}
    for one in _leaving(testimony):
        moves.setdefault(one.call_sid, []).append(one.at)
    restless = sum(
        any(b - a < _MINUTE_S for a, b in pairwise(sorted(times)))
        for times in moves.values()
    )
    if restless:
        figures.strict.append(f"{restless} calls moved twice within a minute")
