"""Parts that are told to stop and are started anew, one after the other."""

import asyncio
import signal
from typing import Any, Final

from lab.drills.scene import DrillFailedError, Scene
from lab.drills.verdict import Figures
from lab.drills.witness import Testimony

__all__ = [
    "deploy_agents",
    "deploy_edges",
    "expire_sessions",
    "judge_deploy",
    "judge_expiry",
    "judge_kill",
    "kill_edge",
]

_GRACE_S: Final = 150.0
_BACK_WITHIN_S: Final = 120.0
_LOOK_S: Final = 0.2
_SAME_SESSION: Final = 0.99


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


async def deploy_edges(scene: Scene) -> None:
    """Replace every edge; in the short form only the one that has the calls."""
    edges = scene.fabric.edges[:1] if scene.short else scene.fabric.edges
    scene.place(scene.calls, at=edges[0])
    await scene.wait_talking()
    scene.strike()
    exits: list[tuple[str, int]] = []
    for edge in edges:
        exits.append((edge.name, await scene.fabric.stop(edge.name, grace_s=_GRACE_S)))
        await scene.fabric.start_again(edge.name)
        await _await_stock(scene)
    scene.notes["exits"] = exits
    await scene.wait_ended()


async def kill_edge(scene: Scene) -> None:
    """Kill the edge that has all calls; their number's fallback URL leads elsewhere."""
    first, second = scene.fabric.edges[:2]
    fallback = f"{scene.fabric.public_url(second)}/twilio/voice"
    scene.place(scene.calls, at=first, fallback_url=fallback)
    await scene.wait_talking()
    scene.strike()
    scene.send_signal(signal.SIGKILL, scene.fabric.pid(first.name))
    await scene.wait_ended()


def judge_kill(_: Scene, testimony: Testimony, figures: Figures) -> None:
    """Want calls to go on in their very sessions."""
    history = testimony.history
    owners = [history.owners_of(call.call_sid) for call in history.calls]
    other = sum(len({one.session_id for one in each}) > 1 for each in owners)
    most = len(history.calls) * (1 - _SAME_SESSION)
    if other > most:
        figures.complaints.append(f"{other} calls went on in another session")
        figures.broken = max(figures.broken, other)


async def expire_sessions(scene: Scene) -> None:
    """Do nothing: the sessions of this drill live for less time than its calls."""
    scene.strike()


def judge_expiry(_: Scene, testimony: Testimony, figures: Figures) -> None:
    """Want calls to have moved in time, and none to have lost its session."""
    changes = testimony.history.changes
    lost = [one for one in changes if one.new == "holding" and one.old == "bridged"]
    if lost:
        figures.strict.append(f"{len(lost)} sessions were lost: {lost[0].reason}")
    if not any(one.new == "moving" for one in changes):
        figures.complaints.append("no session came to its end")
