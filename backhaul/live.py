"""Shows a process as it changes: server-sent events behind the admin token."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from aiohttp import web

from backhaul.news import News

__all__ = ["LiveView", "add_live_view"]

_EVERY_S: Final = 1.0
_MAX_WATCHERS: Final = 16
_WRITE_TIMEOUT_S: Final = 10.0
"""Who has not read for so long is gone."""


@dataclass(frozen=True, slots=True)
class LiveView:
    """What those see who look on."""

    snapshot: Callable[[], Mapping[str, Any]]
    """How things stand; asked for once a second while anybody looks on."""
    news: News
    """What happened in between."""
    call: Callable[[str], Mapping[str, Any] | None]
    """A call by its CallSid, in full; None: there is none."""


def add_live_view(application: web.Application, view: LiveView) -> None:
    """Serve /api/live, /api/history and /api/calls/{call_sid}.

    ``/api/live`` sends a snapshot every second, each with the news since the one
    before; the first one has none. ``/api/history`` returns all news that are kept.
    """
    stream = _Stream(view)

    async def show_history(_: web.Request) -> web.Response:
        return _json({**_origin(view.news), "news": view.news.since(0)})

    async def show_call(request: web.Request) -> web.Response:
        found = view.call(request.match_info["call_sid"])
        if found is None:
            raise web.HTTPNotFound
        return _json(found)

    application.router.add_get("/api/live", stream.serve)
    application.router.add_get("/api/history", show_history)
    application.router.add_get("/api/calls/{call_sid}", show_call)
    application.on_shutdown.append(stream.on_shutdown)


class _Stream:
    def __init__(self, view: LiveView) -> None:
        self._view = view
        self._closing = asyncio.Event()
        self._watchers = 0

    async def on_shutdown(self, _: web.Application) -> None:
        self._closing.set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if self._watchers >= _MAX_WATCHERS:
            raise web.HTTPServiceUnavailable
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        self._watchers += 1
        try:
            await response.prepare(request)
            await self._send_all(response)
        except (ConnectionError, TimeoutError):
            pass  # nobody looks on any more
        finally:
            self._watchers -= 1
        return response

    async def _send_all(self, response: web.StreamResponse) -> None:
        view = self._view
        number = view.news.number
        while not self._closing.is_set():
            news = view.news.since(number)
            number = news["number"]
            shown = {**_origin(view.news), **view.snapshot(), "news": news}
            async with asyncio.timeout(_WRITE_TIMEOUT_S):
                await response.write(b"data: " + orjson.dumps(shown) + b"\n\n")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), _EVERY_S)


def _origin(news: News) -> dict[str, float]:
    return {"since_unix_s": news.since_unix_s}


def _json(body: Mapping[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(body), content_type="application/json")
