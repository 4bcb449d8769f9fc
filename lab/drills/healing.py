"""A region that comes back: more stock than usual, first stock, then traffic."""

import asyncio
import signal
from dataclasses import dataclass, field
from typing import Any, Final

from backhaul.clock import monotonic_s
from lab.drills.scene import Scene
from lab.drills.verdict import Figures
from lab.drills.witness import Testimony

__all__ = ["HEALING_S", "heal_region", "judge_heal"]

HEALING_S: Final = 300.0
_TOLERANCE_S: Final = 5.0
_DOWN_S: Final = 3.0
_LOOK_S: Final = 0.25
_FIRST_SHARE: Final = 0.1
_PATIENCE_S: Final = 60.0
_CALLS_EVERY_S: Final = 15.0


@dataclass(slots=True)
class _Healing:
    """What was seen of it.

    Attributes:
        surges: When agents were over-provisioned: by agent, the first and last look.
        shares: Every share that the edge let calls have, in order.
        stocked: Whether all stock was there when calls were first let in.
    """

    surges: dict[str, tuple[float, float]] = field(
        default_factory=dict[str, tuple[float, float]]
    )
    shares: list[float] = field(default_factory=list[float])
    stocked: bool | None = None


async def heal_region(scene: Scene) -> None:
    """Kill the region's agents, start them again, and look until it has healed."""
    region = await scene.busiest()
    names = scene.fabric.agent_names(region)
    scene.strike()
    scene.send_signal(signal.SIGKILL, *scene.agent_pids(region))
    await asyncio.sleep(_DOWN_S)
    scene.place(scene.calls)  # twice the load, for those who are left
    await asyncio.gather(*map(scene.fabric.start_again, names))
    seen = scene.notes["healing"] = _Healing()
    await _watch(scene, region.name, seen)
    async with scene.http.get(f"{scene.fabric.control_url()}/lab/sessions") as response:
        scene.notes["refused"] = (await response.json())["refused"].get("429", 0)


async def _watch(scene: Scene, region: str, seen: _Healing) -> None:
    place = next(one for one in scene.fabric.regions if one.name == region)
    length_s = _length_s(scene)
    give_up_at = monotonic_s() + length_s + _PATIENCE_S
    calls_at = monotonic_s() + _CALLS_EVERY_S
    while monotonic_s() < give_up_at:
        row = await _row(scene, region)
        pools = [await scene.ask(one, "/api/pool") for one in scene.agents(place)]
        _note(seen, row, pools)
        if row["state"] == "healthy" and seen.surges and not _surging(pools):
            return
        if monotonic_s() >= calls_at:
            calls_at += _CALLS_EVERY_S
            scene.place(max(scene.calls // 4, 1))
        await asyncio.sleep(_LOOK_S)


async def _row(scene: Scene, region: str) -> dict[str, Any]:
    fabric = await scene.ask(scene.edges()[0], "/api/fabric")
    rows: list[dict[str, Any]] = fabric["regions"]
    return next(row for row in rows if row["name"] == region)


def _note(seen: _Healing, row: dict[str, Any], pools: list[dict[str, Any]]) -> None:
    now, share = monotonic_s(), float(row["share"])
    if not seen.shares or seen.shares[-1] != share:
        if share > 0 and row["state"] == "healing" and seen.stocked is None:
            seen.stocked = all(map(_is_stocked, pools))
        seen.shares.append(share)
    for pool in pools:
        if pool["surge_factor"] > 1:
            first, _ = seen.surges.get(pool["agent_id"], (now, now))
            seen.surges[pool["agent_id"]] = (first, now)


def _is_stocked(pool: dict[str, Any]) -> bool:
    # A call that was let in a moment ago has taken one.
    return all(
        one["sessions"]["verified"] >= one["target"] - 1
        for one in pool["profiles"].values()
    )


def _surging(pools: list[dict[str, Any]]) -> bool:
    return any(pool["surge_factor"] > 1 for pool in pools)


def _length_s(scene: Scene) -> float:
    overrides = scene.shape.settings(short=scene.short)
    return float(overrides.get("edge", {}).get("healing_s", HEALING_S))


def judge_heal(scene: Scene, _: Testimony, figures: Figures) -> None:
    """Want the surge to last as long as it should, stock first, then a tenth."""
    seen: _Healing = scene.notes["healing"]
    length_s = _length_s(scene)
    agents = len(scene.fabric.agent_names(scene.fabric.regions[0]))
    if len(seen.surges) < agents:
        figures.complaints.append(f"{len(seen.surges)} of {agents} agents surged")
    for agent, (first, last) in seen.surges.items():
        if abs(last - first - length_s) > _TOLERANCE_S:
            figures.strict.append(
                f"{agent} surged for {last - first:.0f} s, not {length_s:.0f} s"
            )
    returned = [share for share in seen.shares if 0 < share < 1]
    if not returned or returned[0] != _FIRST_SHARE:
        figures.complaints.append(f"calls returned by shares of {seen.shares}")
    if seen.stocked is False:
        figures.complaints.append("calls returned before the stock was full")
    if scene.notes["refused"]:
        figures.complaints.append(f"{scene.notes['refused']} opens were refused (429)")
