"""The second act of the demo: a region dies under live calls, and comes back."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from rich.box import SIMPLE_HEAD
from rich.table import Table

from backhaul.clock import monotonic_s
from backhaul.errors import WarmlineError
from lab.callers import plan_call
from lab.fabric import Fabric
from lab.figures import percentiles
from lab.ledgers import Ledgers
from lab.places import Place
from lab.twilio import CallReport, TwilioStandIn

__all__ = ["RegionLoss", "loss_table"]

_TURNS: Final = 3
_SPREAD_S: Final = 1.5
"""Calls begin within so long: no two callers are at the same word."""
_POLL_S: Final = 0.1
_PATIENCE_S: Final = 60.0


class DemoFailedError(WarmlineError):
    """The fabric did not come to where the demo goes on."""

    code = "demo_failed"


@dataclass(frozen=True, slots=True)
class _Struck:
    """A region, when it died, and the sessions that calls had there."""

    region: Place
    at: float
    sessions: dict[str, str]
    """By CallSid."""


class RegionLoss:
    """Kills the region that has most calls, and starts it again when they have ended.

    Nothing is placed or killed before `run`.
    """

    def __init__(self, fabric: Fabric, *, called: str, calls: int) -> None:
        """Make it for so many *calls* to the number *called*."""
        self._fabric = fabric
        self._called = called
        self._calls = calls

    async def run(self) -> dict[str, Any]:
        """Return what became of the calls, ready for JSON.

        Raises:
            DemoFailedError: Calls do not begin, or the region does not come back.
        """
        carrier = TwilioStandIn(self._fabric.account_sid, self._fabric.auth_token)
        try:
            # Not a task group: what fails is told as it is.
            struck, reports = await asyncio.gather(
                self._kill_busiest(),
                asyncio.gather(
                    *(self._call(carrier, number) for number in range(self._calls))
                ),
            )
        finally:
            await carrier.aclose()
        ledgers = await Ledgers.of_ended(self._fabric)
        return _figures(reports, struck, ledgers) | await self._heal(struck.region)

    async def _call(self, carrier: TwilioStandIn, number: int) -> CallReport:
        fabric = self._fabric
        edge = fabric.edges[number % len(fabric.edges)]
        await asyncio.sleep(_SPREAD_S * number / self._calls)
        return await carrier.place_call(
            plan_call(fabric, edge, number, called=self._called, turns=_TURNS)
        )

    async def _kill_busiest(self) -> _Struck:
        """Kill the agents of the region with most calls once all callers talk."""
        talking: dict[str, dict[str, Any]] = {}

        async def all_talk() -> bool:
            talking.clear()
            found = await Ledgers.read(self._fabric)
            talking.update(
                (sid, call)
                for sid, call in found.calls.items()
                if call["state"] == "bridged" and call["session_ids"]
            )
            return len(talking) == self._calls

        await _until(all_talk, f"{self._calls} calls are not live at once")
        counts = Counter(call["region"] for call in talking.values())
        busiest = counts.most_common(1)[0][0]
        region = next(one for one in self._fabric.regions if one.name == busiest)
        struck = _Struck(
            region,
            monotonic_s(),
            {
                sid: call["session_ids"][-1]
                for sid, call in talking.items()
                if call["region"] == busiest
            },
        )
        agents = self._fabric.agent_names(region)
        await asyncio.gather(*map(self._fabric.kill, agents))
        return struck

    async def _heal(self, region: Place) -> dict[str, Any]:
        """Start the region's agents again; wait until every edge lets calls in."""
        began_at = monotonic_s()
        agents = self._fabric.agent_names(region)
        await asyncio.gather(*map(self._fabric.start_again, agents))
        rows: list[dict[str, Any]] = []

        async def is_back() -> bool:
            rows[:] = await self._rows(region)
            return all(row["share"] > 0 for row in rows)

        await _until(is_back, f"{region.name} does not come back")
        return {
            "back_after_s": round(monotonic_s() - began_at, 1),
            "share": min(float(row["share"]) for row in rows),
        }

    async def _rows(self, region: Place) -> list[dict[str, Any]]:
        """Return what each edge thinks of a region."""
        headers = {"Authorization": f"Bearer {self._fabric.admin_token}"}
        rows: list[dict[str, Any]] = []
        async with aiohttp.ClientSession(headers=headers) as http:
            for edge in self._fabric.describe()["edges"]:
                async with http.get(f"{edge['admin_url']}/api/fabric") as response:
                    regions = (await response.json())["regions"]
                rows += (one for one in regions if one["name"] == region.name)
        return rows


async def _until(condition: Callable[[], Awaitable[bool]], complaint: str) -> None:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            while not await condition():  # noqa: ASYNC110 - other processes
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise DemoFailedError(complaint) from None


def _figures(
    reports: Sequence[CallReport], struck: _Struck, ledgers: Ledgers
) -> dict[str, Any]:
    restored = [
        session["heard_from"] - struck.at
        for sid, lost in struck.sessions.items()
        if (session := ledgers.last_session(sid)).get("id", lost) != lost
        and session["heard_from"] is not None
    ]
    return {
        "region": struck.region.name,
        "calls": len(reports),
        "struck": len(struck.sessions),
        "kept": sum(map(_is_kept, reports)),
        "restore_ms": percentiles([1000 * took_s for took_s in restored]),
    }


def _is_kept(report: CallReport) -> bool:
    """Tell whether one Media Stream lasted to the end, and every turn was answered."""
    replies = [turn.reply_first_audio_ms for turn in report.turns]
    return (
        report.ended_by == "caller"
        and len(report.stream_sids) == 1
        and len(replies) == _TURNS
        and None not in replies
    )


def loss_table(figures: dict[str, Any]) -> Table:
    """Return the same for people."""
    table = Table(title=f"{figures['region']} was killed, and healed", box=SIMPLE_HEAD)
    for name in ("calls", "struck", "lost"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("heard again, ms\np50/p95/p99", justify="right", no_wrap=True)
    table.add_column("back and warm after", no_wrap=True)
    restore = "/".join(
        "-" if ms is None else f"{ms:.0f}" for ms in figures["restore_ms"].values()
    )
    share = f"{figures['share']:.0%} of its share"
    table.add_row(
        str(figures["calls"]),
        str(figures["struck"]),
        str(figures["calls"] - figures["kept"]),
        restore,
        f"{figures['back_after_s']} s, for {share}",
    )
    return table
