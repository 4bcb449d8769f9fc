"""The endpoint of the function `note`: executes once for each idempotency key."""

import asyncio
from typing import Final, Self

import msgspec
from aiohttp import web

from backhaul.clock import monotonic_s
from lab.drills.history import ToolRun

__all__ = ["ToolDesk"]

_TAKES_S: Final = 0.15
_STOP_S: Final = 1.0


class _Call(msgspec.Struct, frozen=True):
    call_sid: str


class _Arguments(msgspec.Struct, frozen=True):
    turn: int


class _Request(msgspec.Struct, frozen=True):
    name: str
    arguments: _Arguments
    call: _Call


class ToolDesk:
    """An HTTP server on a loopback port; use as an async context manager.

    Attributes:
        runs: What was executed, in order.
        repeated: Requests that came with a key that was known.
    """

    def __init__(self) -> None:
        self.runs: list[ToolRun] = []
        self.repeated = 0
        self._answers: dict[str, str] = {}
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/note", self._note)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_S)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def url(self) -> str:
        """Where `note` is served."""
        if self._runner is None:
            raise RuntimeError("the desk is closed")
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}/note"

    def turns(self, call_sid: str) -> int:
        """Return how many turns of a call have been noted."""
        return sum(run.call_sid == call_sid for run in self.runs)

    async def _note(self, request: web.Request) -> web.Response:
        key = request.headers.get("Idempotency-Key", "")
        try:
            asked = msgspec.json.decode(await request.read(), type=_Request)
        except msgspec.MsgspecError as exc:
            return web.json_response({"error": str(exc)}, status=400)
        if key in self._answers:
            self.repeated += 1
        else:
            what = f"{asked.name} of turn {asked.arguments.turn}"
            self._answers[key] = f'{{"noted": {asked.arguments.turn}}}'
            run = ToolRun(monotonic_s(), asked.call.call_sid, what, key)
            self.runs.append(run)
        await asyncio.sleep(_TAKES_S)
        return web.Response(text=self._answers[key], content_type="application/json")
