"""Parts that are told to stop and are started anew, one after the other."""

import asyncio
from typing import Any, Final

from lab.drills.scene import DrillFailedError, Scene
from lab.drills.verdict import Figures
from lab.drills.witness import Testimony

__all__ = ["deploy_agents", "expire_sessions", "judge_deploy", "judge_expiry"]

_GRACE_S: Final = 90.0
_BACK_WITHIN_S: Final = 90.0
_LOOK_S: Final = 0.2


async def deploy_agents(scene: Scene) -> None:
    """Replace every agent; in the short form only those that have the calls."""
    regions = [await scene.busiest()] if scene.short else scene.fabric.regions
    scene.strike()
    exits: list[tuple[str, int]] = []
    for region in regions:
        for name in scene.fabric.agent_names(region):
            exits.append((name, await scene.fabric.stop(name, grace_s=_GRACE_S)))
            await scene.fabric.start_again(name)
            await _await_stock(scene)
    scene.notes["exits"] = exits


async def _await_stock(scene: Scene) -> None:
    """Wait until every edge may use every agent.

    Raises:
        DrillFailedError: One does not come back.
    """
    try:
        async with asyncio.timeout(_BACK_WITHIN_S):
            while not await _all_back(scene):  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(_LOOK_S)
    except TimeoutError:
        raise DrillFailedError("an agent does not come back") from None


async def _all_back(scene: Scene) -> bool:
    fabrics = [await scene.ask(edge, "/api/fabric") for edge in scene.edges()]
    regions = [region for fabric in fabrics for region in fabric["regions"]]
    return all(map(_is_back, (agent for one in regions for agent in one["agents"])))


def _is_back(agent: dict[str, Any]) -> bool:
    warm = agent["warm"]
    return agent["link"] == "ready" and not agent["draining"] and all(warm.values())


def judge_deploy(scene: Scene, _: Testimony, figures: Figures) -> None:
    """Want everybody to go of their own accord, and no call to be cut off for it."""
    for name, code in scene.notes["exits"]:
        if code:
            figures.complaints.append(f"{name} ended with {code}")


async def expire_sessions(scene: Scene) -> None:
    """Do nothing: the sessions of this drill live for less time than its calls."""
    scene.strike()


def judge_expiry(_: Scene, testimony: Testimony, figures: Figures) -> None:
    """Want calls to have moved in time, and none to have lost its session."""
    changes = testimony.history.changes
    lost = [one for one in changes if one.new == "holding" and one.old == "bridged"]
    if lost:
        figures.complaints.append(f"{len(lost)} sessions were lost: {lost[0].reason}")
    if not any(one.new == "moving" for one in changes):
        figures.complaints.append("no session came to its end")
