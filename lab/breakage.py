"""Breaks a local fabric from the console, mends it, and keeps callers on the line."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

from backhaul.tasks import TaskOwner
from lab.callers import plan_call
from lab.fabric import Fabric
from lab.places import Place
from lab.twilio import TwilioStandIn
from lab.wan_control import WanOrder
from lab.wan_orders import order_wan

__all__ = ["FabricBreaker"]

_CALLERS: Final = (0, 5, 20)
_TURNS_PER_CALL: Final = 4
_DRAIN_S: Final = 60.0
_PAUSE_S: Final = 0.5

_Action = Callable[[str], Coroutine[Any, Any, str]]


class FabricBreaker:
    """What can be done to a fabric; a `Breaker`. Use inside a running event loop."""

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self._regions = {region.name: region for region in fabric.regions}
        self._gone: set[str] = set()
        """Agents that were killed or drained."""
        self._without_udp: set[str] = set()
        self._busy = asyncio.Lock()
        self._tasks = TaskOwner()
        self._stand_in = TwilioStandIn(fabric.account_sid, fabric.auth_token)
        self._callers = 0
        self._actions: dict[str, _Action] = {
            "kill": self._kill,
            "drain": self._drain,
            "heal": self._heal,
            "block_udp": self._block_udp,
            "callers": self._set_callers,
        }

    def offers(self) -> Sequence[Mapping[str, Any]]:
        """See `Breaker`."""
        return [
            {
                "target": name,
                "broken": any(agent in self._gone for agent in self._agents(region)),
                "udp_blocked": name in self._without_udp,
                "callers": self._callers,
            }
            for name, region in self._regions.items()
        ]

    async def perform(self, action: str, target: str) -> str:
        """See `Breaker`."""
        act = self._actions[action]
        async with self._busy:  # one thing at a time, whoever presses what
            return await act(target)

    async def aclose(self) -> None:
        """Let the callers go."""
        await self._tasks.aclose()
        await self._stand_in.aclose()

    # What can be done

    async def _kill(self, target: str) -> str:
        agents = self._agents(self._regions[target])
        standing = [agent for agent in agents if agent not in self._gone]
        self._gone.update(standing)
        await asyncio.gather(*(self._fabric.kill(agent) for agent in standing))
        return f"{target}: SIGKILL to {', '.join(standing)}"

    async def _drain(self, target: str) -> str:
        agents = self._agents(self._regions[target])
        standing = [agent for agent in agents if agent not in self._gone]
        self._gone.update(standing)
        for agent in standing:
            # Ends when its calls have; nobody waits for it here.
            self._tasks.spawn(self._stop(agent), name=f"drain:{agent}")
        return f"{target}: SIGTERM to {', '.join(standing)}"

    async def _stop(self, agent: str) -> None:
        await self._fabric.stop(agent, grace_s=_DRAIN_S)

    async def _heal(self, target: str) -> str:
        region = self._regions[target]
        if target in self._without_udp:
            await self._set_udp(region, loss=0.0)
            self._without_udp.discard(target)
        gone = [agent for agent in self._agents(region) if agent in self._gone]
        for agent in gone:
            await self._fabric.stop(agent, grace_s=0.0)  # one that is still draining
        await asyncio.gather(*(self._fabric.start_again(agent) for agent in gone))
        self._gone.difference_update(gone)
        return f"{target}: healed, {len(gone)} started again"

    async def _block_udp(self, target: str) -> str:
        await self._set_udp(self._regions[target], loss=1.0)
        self._without_udp.add(target)
        return f"{target}: UDP blocked, links fall back to TCP"

    async def _set_udp(self, region: Place, *, loss: float) -> None:
        # All datagrams are lost; what TCP carries is not sent again forever.
        routes = self._fabric.routes(region)
        orders = [WanOrder(route=route, loss=loss) for route in routes]
        await order_wan(self._fabric.wan_control_port(), orders)

    async def _set_callers(self, target: str) -> str:
        wanted = int(target) if target in map(str, _CALLERS) else -1
        if wanted < 0:
            raise KeyError(target)
        for number in range(self._callers, wanted):
            self._tasks.spawn(self._call_again(number), name=f"caller:{number}")
        self._callers = wanted
        return f"{wanted} callers talk, and call again when they have ended"

    # Callers

    async def _call_again(self, number: int) -> None:
        edges = self._fabric.edges
        plan = plan_call(
            self._fabric,
            edges[number % len(edges)],
            number,
            called=self._fabric.describe()["numbers"][0],
            turns=_TURNS_PER_CALL,
        )
        while number < self._callers:
            await asyncio.sleep(_PAUSE_S * (1 + number % 4))
            await self._stand_in.place_call(plan)

    def _agents(self, region: Place) -> list[str]:
        return self._fabric.agent_names(region)
