"""The HTTP control endpoint of the Realtime stand-in: wishes in, evidence out."""

from collections.abc import Callable, Collection, Mapping
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from lab.model_script import ModelScript, ModelTurn, ScriptQueue
from lab.realtime_faults import Fault, FaultPlan
from lab.realtime_record import Ledger

__all__ = ["RealtimeControl"]


_Strike = Callable[[int, Collection[str] | None], int]


class _Misbehave(Struct, frozen=True, forbid_unknown_fields=True):
    kind: Fault
    count: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    seconds: Annotated[float, Meta(ge=0, le=3600)] = 5.0
    every: Annotated[int, Meta(ge=1, le=1000)] = 1
    sessions: tuple[str, ...] | None = None


class _Script(Struct, frozen=True, forbid_unknown_fields=True):
    turns: tuple[ModelTurn, ...]
    min_calls: Annotated[int, Meta(ge=1, le=10_000)] = 1
    """How many of the calls to come follow it, each from its beginning."""


class RealtimeControl:
    """What can be wished for and what can be read.

    ``POST /lab/misbehave``, ``POST`` and ``DELETE /lab/script``; ``GET /lab/sessions``,
    ``GET /lab/sessions/{id}/heard``. *strikes* are the faults that happen at once, to
    so many live sessions of those named, if any are; each returns how many it struck.
    """

    def __init__(
        self,
        ledger: Ledger,
        faults: FaultPlan,
        scripts: ScriptQueue,
        strikes: Mapping[Fault, _Strike],
    ) -> None:
        self._ledger = ledger
        self._faults = faults
        self._scripts = scripts
        self._strikes = strikes
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen on *port* (0: any); return the port."""
        app = web.Application()
        app.router.add_post("/lab/misbehave", self._misbehave)
        app.router.add_post("/lab/script", self._script)
        app.router.add_delete("/lab/script", self._forget_scripts)
        app.router.add_get("/lab/sessions", self._sessions)
        app.router.add_get("/lab/sessions/{session_id}/heard", self._heard)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        return int(self._runner.addresses[0][1])

    async def aclose(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _misbehave(self, request: web.Request) -> web.Response:
        try:
            wish = msgspec.json.decode(await request.read(), type=_Misbehave)
        except (msgspec.DecodeError, RecursionError) as error:
            return web.json_response({"error": str(error)}, status=400)
        struck = 0
        if wish.kind == Fault.NONE:
            self._faults.clear()
        elif (strike := self._strikes.get(wish.kind)) is not None:
            struck = strike(wish.count, wish.sessions)
        else:
            self._faults.plan(
                wish.kind,
                count=wish.count,
                seconds=wish.seconds,
                every=wish.every,
                sessions=wish.sessions,
            )
        return web.json_response({"pending": self._faults.pending(), "struck": struck})

    async def _script(self, request: web.Request) -> web.Response:
        try:
            wish = msgspec.json.decode(await request.read(), type=_Script)
            self._scripts.add(ModelScript(wish.turns), calls=wish.min_calls)
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"pending": len(self._scripts)})

    async def _forget_scripts(self, _: web.Request) -> web.Response:
        self._scripts.clear()
        return web.json_response({"pending": 0})

    async def _sessions(self, _: web.Request) -> web.Response:
        body = msgspec.json.encode(self._ledger.wire())
        return web.Response(body=body, content_type="application/json")

    async def _heard(self, request: web.Request) -> web.Response:
        record = self._ledger.get(request.match_info["session_id"])
        if record is None:
            raise web.HTTPNotFound
        return web.Response(body=bytes(record.heard.kept), content_type="audio/basic")
