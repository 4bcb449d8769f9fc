"""The console: builds its parts, and serves the page, its streams and its orders."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from typing import Any, Final, cast
from urllib.parse import urlsplit

import msgspec
import orjson
from aiohttp import web

from backhaul.clock import unix_s
from backhaul.http import HttpListener
from console.abilities import Breaker, Phone
from console.assets import Asset, load_assets
from console.hub import Hub, Viewer, source_event
from console.login import LOGIN_S, Login
from console.phone import phone_socket, read_order, serve_phone
from console.settings import ConsoleSettings
from console.sources import Source, Sources

__all__ = ["Console"]

_WRONG_TOKEN_S: Final = 0.5
_WRITE_TIMEOUT_S: Final = 10.0
_MAX_VIEWERS: Final = 50
_MAX_PHONES: Final = 8
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; "
    "style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_CLOSED_TO_STRANGERS: Final = "/api/"

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Token(msgspec.Struct, forbid_unknown_fields=True):
    token: str


class _Order(msgspec.Struct, forbid_unknown_fields=True):
    action: str
    target: str = ""


class Console:
    """One console; it keeps nothing that a restart would lose."""

    def __init__(
        self,
        settings: ConsoleSettings,
        find_sources: Callable[[], Iterable[Source]],
        *,
        phone: Phone | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        """Build it.

        Args:
            settings: How it is reached.
            find_sources: Returns the processes to show; asked once a second.
            phone: Places calls from the page; None: it cannot.
            breaker: Breaks things from the page; None: it cannot.
        """
        self._settings = settings
        self._login = Login(settings.token)
        self._assets = load_assets()
        self._hub = Hub()
        self._sources = Sources(find_sources, self._hub)
        self._phone = phone
        self._breaker = breaker
        self._phones = 0
        application = web.Application(
            middlewares=[self._guard], client_max_size=64 * 1024
        )
        application.add_routes(self._routes())
        application.on_response_prepare.append(_add_headers)
        application.on_shutdown.append(self._on_shutdown)
        self._listener = HttpListener(application)
        self._sockets: set[web.WebSocketResponse] = set()

    @property
    def port(self) -> int:
        """Where it listens; 0 before it does."""
        return self._listener.port

    @property
    def url(self) -> str:
        """What to open; holds the token, in the part that is never sent."""
        host = self._settings.host
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{self.port}/#token={self._settings.token.reveal()}"

    @property
    def calls(self) -> int:
        """Calls that are held from the page just now."""
        return self._phones

    async def start(self) -> None:
        """Begin to follow the sources, and to serve.

        Raises:
            OSError: If the port cannot be had.
        """
        await self._listener.start(self._settings.host, self._settings.port)
        self._sources.start()

    async def aclose(self) -> None:
        """Send everybody away, and end."""
        await self._listener.aclose()
        await self._sources.aclose()

    def _routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", self._show_page),
            web.get("/static/{path:.+}", self._show_asset),
            web.post("/login", self._log_in),
            web.post("/logout", self._log_out),
            web.get("/api/stream", self._stream),
            web.get("/api/calls/{call_sid}", self._show_call),
            web.post("/api/break", self._break),
            web.get("/api/phone", self._talk),
        ]

    # Who may do what

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: _Handler
    ) -> web.StreamResponse:
        if request.method == "POST" or request.path == "/api/phone":
            origin = request.headers.get("Origin")
            if origin is not None and urlsplit(origin).netloc != request.host:
                raise web.HTTPForbidden
        if request.path.startswith(_CLOSED_TO_STRANGERS) and not self._knows(request):
            raise web.HTTPUnauthorized
        return await handler(request)

    def _knows(self, request: web.Request) -> bool:
        cookie = request.cookies.get(self._cookie, "")
        return self._login.knows(cookie, now=unix_s())

    @property
    def _cookie(self) -> str:
        # Browsers do not tell ports of one host apart.
        return f"warmline_console_{self.port}"

    async def _log_in(self, request: web.Request) -> web.Response:
        try:
            shown = msgspec.json.decode(await request.read(), type=_Token)
        except msgspec.MsgspecError as exc:
            raise web.HTTPBadRequest from exc
        if not self._login.admits(shown.token):
            await asyncio.sleep(_WRONG_TOKEN_S)
            raise web.HTTPUnauthorized
        response = web.Response(status=HTTPStatus.NO_CONTENT)
        response.set_cookie(
            self._cookie,
            self._login.cookie(now=unix_s()),
            max_age=LOGIN_S,
            httponly=True,
            samesite="Strict",
            secure=request.headers.get("X-Forwarded-Proto") == "https",
        )
        return response

    async def _log_out(self, _: web.Request) -> web.Response:
        response = web.Response(status=HTTPStatus.NO_CONTENT)
        response.del_cookie(self._cookie)
        return response

    # The page

    async def _show_page(self, request: web.Request) -> web.Response:
        name = "index.html" if self._knows(request) else "login.html"
        return _serve(request, self._assets[name])

    async def _show_asset(self, request: web.Request) -> web.Response:
        asset = self._assets.get(request.match_info["path"])
        if asset is None:
            raise web.HTTPNotFound
        return _serve(request, asset)

    # What it shows

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if len(self._hub) >= _MAX_VIEWERS:
            raise web.HTTPServiceUnavailable
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        viewer = Viewer()
        self._hub.add(viewer)
        try:
            await response.prepare(request)
            viewer.put(b"event: hello\ndata: " + orjson.dumps(self._hello()) + b"\n\n")
            for key, snapshot in self._sources.latest.items():
                viewer.put(source_event("snapshot", key, snapshot))
            await _write(response, await viewer.next())  # nobody waits for history
            for key, history in await self._sources.ask_all("/api/history"):
                viewer.put(source_event("history", key, history))
            while events := await viewer.next():
                await _write(response, events)
        except (ConnectionError, TimeoutError):
            pass  # nobody looks on any more
        finally:
            self._hub.remove(viewer)
        return response

    def _hello(self) -> dict[str, Any]:
        phone, breaker = self._phone, self._breaker
        return {
            "trace_url": self._settings.trace_url,
            "phone": None if phone is None else phone.offers(),
            "breaker": None if breaker is None else breaker.offers(),
        }

    async def _show_call(self, request: web.Request) -> web.Response:
        call_sid = request.match_info["call_sid"]
        if not call_sid.isalnum():
            raise web.HTTPNotFound
        answers = await self._sources.ask_all(f"/api/calls/{call_sid}")
        if not answers:
            raise web.HTTPNotFound
        body = b"[" + b",".join(answer for _, answer in answers) + b"]"
        return web.Response(body=body, content_type="application/json")

    # What it does

    async def _break(self, request: web.Request) -> web.Response:
        if self._breaker is None:
            raise web.HTTPNotFound
        try:
            order = msgspec.json.decode(await request.read(), type=_Order)
            done = await self._breaker.perform(order.action, order.target)
        except (msgspec.MsgspecError, KeyError) as exc:
            raise web.HTTPBadRequest from exc
        return web.json_response({"done": done, "can": self._breaker.offers()})

    async def _talk(self, request: web.Request) -> web.StreamResponse:
        if self._phone is None or self._phones >= _MAX_PHONES:
            raise web.HTTPServiceUnavailable
        socket = phone_socket()
        await socket.prepare(request)
        self._phones += 1
        self._sockets.add(socket)
        try:
            order = await read_order(socket)
            if order is not None:
                await serve_phone(socket, self._phone, order)
            await socket.close()
        finally:
            self._phones -= 1
            self._sockets.discard(socket)
        return socket

    async def _on_shutdown(self, _: web.Application) -> None:
        self._hub.close()
        for socket in list(self._sockets):
            with contextlib.suppress(ConnectionError):
                await socket.close()


async def _write(response: web.StreamResponse, events: bytes) -> None:
    async with asyncio.timeout(_WRITE_TIMEOUT_S):
        await response.write(events)


def _serve(request: web.Request, asset: Asset) -> web.Response:
    headers = {
        "Content-Type": asset.media_type,
        "Cache-Control": "no-cache",
        "ETag": f'"{asset.etag}"',
        "Vary": "Accept-Encoding",
    }
    if asset.etag in request.headers.get("If-None-Match", ""):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    if "gzip" not in request.headers.get("Accept-Encoding", ""):
        return web.Response(body=asset.content, headers=headers)
    headers["Content-Encoding"] = "gzip"
    return web.Response(body=asset.compressed, headers=headers)


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    cast("Any", response).headers.update(_HEADERS)
