"""Where a drill takes place: a running fabric, its callers, and what can be broken."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from backhaul.clock import monotonic_s
from backhaul.errors import WarmlineError
from backhaul.owned_directory import make_owned_directory
from backhaul.tasks import TaskOwner
from lab.drills.shape import NUMBER, Shape, write_config
from lab.drills.tool_desk import ToolDesk
from lab.drills.wan_orders import order_wan
from lab.fabric import Fabric
from lab.places import Place
from lab.realtime_faults import Fault
from lab.twilio import CallPlan, CallReport, TwilioStandIn
from lab.wan_control import WanOrder

__all__ = ["DrillFailedError", "Scene", "open_scene"]

_POLL_S: Final = 0.1
_TIMEOUT_S: Final = 10.0
_CALL_S: Final = 60.0
"""What a call may take beyond what is said in it (s)."""
_PATIENCE_S: Final = 150.0


class DrillFailedError(WarmlineError):
    """A drill could not be held: what it was to break was not as it should be."""

    code = "drill_failed"


@dataclass(slots=True)
class Scene:
    """A fabric under calls.

    Attributes:
        calls: How many callers the drill is for.
        struck_at: When the fault came; None: not yet.
        notes: What the fault measured, for its own judgement.
        reports: Of the calls that have ended.
    """

    shape: Shape
    calls: int
    short: bool
    fabric: Fabric
    carrier: TwilioStandIn
    desk: ToolDesk
    http: aiohttp.ClientSession
    struck_at: float | None = None
    notes: dict[str, Any] = field(default_factory=dict[str, Any])
    reports: list[CallReport] = field(default_factory=list[CallReport])
    placed: int = 0
    """Calls that were placed."""
    _tasks: TaskOwner = field(default_factory=TaskOwner)

    # Callers

    def place(
        self,
        count: int,
        *,
        at: Place | None = None,
        **changes: Any,  # noqa: ANN401 - of a plan
    ) -> None:
        """Let so many callers call, spread over the shape's time and its edges.

        Args:
            count: How many.
            at: The edge whose number they call; None: all.
            changes: Of their plans.
        """
        edges = self.fabric.edges if at is None else (at,)
        spread_s = self.shape.spread_s / (3 if self.short else 1)
        for number in range(count):
            edge = edges[number % len(edges)]
            after_s = spread_s * number / count
            call = self._call(edge, after_s, changes)
            self._tasks.spawn(call, name="drill:call")
            self.placed += 1

    async def wait_ended(self) -> None:
        """Wait until all calls that were placed have ended.

        Raises:
            DrillFailedError: One does not, or its carrier failed.
        """
        shape = self.shape
        length_s = shape.length_s(short=self.short)
        await self._tasks.wait_idle(shape.spread_s + length_s + 2 * _CALL_S)
        if len(self.reports) < self.placed:
            missing = self.placed - len(self.reports)
            raise DrillFailedError(f"{missing} calls have no end")

    async def wait_talking(self, *, turns: int = 1) -> None:
        """Wait until all callers are connected and have been answered so many turns.

        Raises:
            DrillFailedError: They are not, for too long.
        """

        def talked() -> bool:
            noted: dict[str, int] = {}
            for run in self.desk.runs:
                noted[run.call_sid] = noted.get(run.call_sid, 0) + 1
            return sum(count >= turns for count in noted.values()) >= self.calls

        await self.until(talked, f"{self.calls} callers have not been answered")

    async def _call(self, edge: Place, after_s: float, changes: dict[str, Any]) -> None:
        await asyncio.sleep(after_s)
        self.reports.append(await self.carrier.place_call(self.plan(edge, **changes)))

    def plan(self, edge: Place, **changes: Any) -> CallPlan:  # noqa: ANN401 - of it
        """Return the plan of a call to *edge*."""
        shape = self.shape
        url = self.fabric.public_url(edge)
        given: dict[str, Any] = {
            "webhook_url": f"{url}/twilio/voice",
            "status_callback": f"{url}/twilio/status",
            "from_number": edge.caller,
            "to_number": NUMBER,
            "steps": shape.steps(short=self.short),
            "max_duration_s": shape.length_s(short=self.short) + _CALL_S,
            "read_pause": shape.read_pause,
        }
        return CallPlan(**(given | changes))

    # What can be broken

    def strike(self) -> None:
        """The fault comes now."""
        self.struck_at = monotonic_s()

    async def wan(self, routes: Sequence[str], **changes: Any) -> None:  # noqa: ANN401
        """Change *routes* of the WAN; see `WanOrder`."""
        orders = (WanOrder(route=route, **changes) for route in routes)
        await order_wan(self.fabric.wan_control_port(), *orders)

    async def misbehave(
        self,
        kind: Fault,
        *,
        region: Place | None = None,
        **how: Any,  # noqa: ANN401
    ) -> None:
        """Let the model stand-in do something wrong; see `FaultPlan.plan` for *how*."""
        url = f"{self.fabric.control_url(region)}/lab/misbehave"
        wish = {"kind": kind.value, **how}
        async with self.http.post(url, json=wish) as response:
            response.raise_for_status()

    def send_signal(self, number: signal.Signals, *pids: int) -> None:
        """Send a signal to processes of the fabric."""
        for pid in pids:
            os.kill(pid, number)

    def agent_pids(self, region: Place) -> list[int]:
        """Return the processes of a region's agents."""
        return [self.fabric.pid(name) for name in self.fabric.agent_names(region)]

    # What can be seen

    async def ask(self, part: dict[str, Any], path: str) -> dict[str, Any]:
        """Return what an edge or agent (of `Fabric.describe`) shows at *path*."""
        headers = {"Authorization": f"Bearer {part['admin_token']}"}
        url = f"{part['admin_url']}{path}"
        async with self.http.get(url, headers=headers) as response:
            shown: dict[str, Any] = await response.json()
            return shown

    async def metric(self, part: dict[str, Any], name: str, **labels: str) -> float:
        """Return a metric of an edge or agent, all its samples with *labels* added."""
        headers = {"Authorization": f"Bearer {part['admin_token']}"}
        url = f"{part['admin_url']}/metrics"
        async with self.http.get(url, headers=headers) as response:
            text = await response.text()
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(
            float(line.rpartition(" ")[2])
            for line in text.splitlines()
            if line.startswith((f"{name}{{", f"{name} "))
            and all(label in line for label in wanted)
        )

    def edges(self) -> list[dict[str, Any]]:
        """Return the edges, as `Fabric.describe` has them."""
        edges: list[dict[str, Any]] = self.fabric.describe()["edges"]
        return edges

    def agents(self, region: Place) -> list[dict[str, Any]]:
        """Return the agents of a region, as `Fabric.describe` has them."""
        regions: list[dict[str, Any]] = self.fabric.describe()["regions"]
        found = (one["agents"] for one in regions if one["name"] == region.name)
        return list(next(found))

    async def live_calls(self) -> list[dict[str, Any]]:
        """Return the live calls of all edges."""
        calls: list[dict[str, Any]] = []
        for edge in self.edges():
            calls += (await self.ask(edge, "/api/calls"))["live"]
        return calls

    async def busiest(self) -> Place:
        """Return the region that has the most calls.

        Raises:
            DrillFailedError: There are no calls.
        """
        names = [call["region"] for call in await self.live_calls()]
        if not names:
            raise DrillFailedError("there are no calls")
        most = max(set(names), key=names.count)
        return next(one for one in self.fabric.regions if one.name == most)

    async def until(
        self,
        holds: Callable[[], bool],
        otherwise: str,
        *,
        within_s: float = _PATIENCE_S,
    ) -> None:
        """Wait until something holds.

        Raises:
            DrillFailedError: It does not, for too long.
        """
        try:
            async with asyncio.timeout(within_s):
                while not holds():  # noqa: ASYNC110 - nothing tells of it
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise DrillFailedError(otherwise) from None

    async def aclose(self) -> None:
        """Give up what is still going on."""
        await self._tasks.aclose()


@asynccontextmanager
async def open_scene(
    shape: Shape, calls: int, *, short: bool, on_progress: Callable[[str], None]
) -> AsyncGenerator[Scene]:
    """Start the fabric for a drill; leaving the context ends everything."""
    async with AsyncExitStack() as stack:
        directory = make_owned_directory("warmline-drill-")
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        desk = await stack.enter_async_context(ToolDesk())
        config = directory / "drill.toml"
        await asyncio.to_thread(write_config, config, tool_url=desk.url)
        fabric = await stack.enter_async_context(
            Fabric(shape.fabric(calls, config, short=short), on_progress=on_progress)
        )
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        carrier = TwilioStandIn(fabric.account_sid, fabric.auth_token)
        stack.push_async_callback(carrier.aclose)
        scene = Scene(shape, calls, short, fabric, carrier, desk, http)
        stack.push_async_callback(scene.aclose)
        yield scene
