"""The admin listener of a service that runs as several processes: all in one place."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import aiohttp
import orjson
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from backhaul.admin import AdminHandler, guarded_application
from backhaul.http import HttpListener
from backhaul.settings import Secret
from backhaul.worker_metrics import WorkerMetrics
from backhaul.workers import Worker, Workers

__all__ = ["WorkersAdmin"]

_TIMEOUT_S: Final = 3.0

_WITHOUT_END: Final = aiohttp.ClientTimeout(total=None, sock_read=2 * _TIMEOUT_S)
"""For what a worker goes on telling, once a second."""

_Answer = tuple[int, str]


class WorkersAdmin:
    """Asks the workers' own admin listeners, and tells what all of them say.

    Ready is who has only workers that are ready. What an operator may look at is
    ``{"workers": [...]}``; below ``/workers/1`` is all that this one has to show.
    """

    def __init__(
        self, workers: Workers, *, token: Secret, paths: Sequence[str]
    ) -> None:
        """Know whom to ask.

        Args:
            workers: They listen at ``admin_port`` of what they announce.
            token: Of them and of this listener.
            paths: What there is to look at besides /livez, /readyz and /metrics.
        """
        self._workers = workers
        self._token = token
        handlers: dict[str, AdminHandler] = {
            "/livez": self._live,
            "/readyz": self._ready,
            "/metrics": self._metrics,
            "/workers": self._list,
            "/workers/{worker}/{path:.*}": self._pass_on,
            **dict.fromkeys(paths, self._show),
        }
        self._listener = HttpListener(
            guarded_application(token=token, handlers=handlers)
        )
        self._http: aiohttp.ClientSession | None = None

    @property
    def port(self) -> int:
        """Its port; 0 before it listens."""
        return self._listener.port

    async def start(self, host: str, port: int) -> None:
        """Begin to listen.

        Raises:
            OSError: If the port cannot be had.
        """
        self._http = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {self._token.reveal()}"},
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
        )
        await self._listener.start(host, port)

    async def aclose(self) -> None:
        """Stop listening."""
        await self._listener.aclose()
        if self._http is not None:
            await self._http.close()

    async def ask(self, worker: Worker, path: str) -> tuple[int, str]:
        """Return status and body of what one worker says at *path*; 503 if nothing."""
        announced, http = worker.announced, self._http
        if announced is not None and http is not None:
            url = _url(announced, path)
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with http.get(url) as response:
                    return response.status, await response.text()
        return HTTPStatus.SERVICE_UNAVAILABLE, "{}"

    async def _live(self, _: web.Request) -> web.Response:
        return web.json_response({"live": True})

    async def _ready(self, _: web.Request) -> web.Response:
        answers = await self._ask_all("/readyz")
        said = [_said(number, *answer) for number, answer in answers.items()]
        ready = all(status == HTTPStatus.OK for status, _ in answers.values())
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return web.json_response({"ready": ready, "workers": said}, status=status)

    async def _metrics(self, _: web.Request) -> web.Response:
        answers = await self._ask_all("/metrics")
        texts = {
            number: text
            for number, (status, text) in answers.items()
            if status == HTTPStatus.OK
        }
        registry = CollectorRegistry()
        registry.register(WorkerMetrics(texts))
        body = generate_latest(registry) + generate_latest(self._own_metrics())
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _list(self, _: web.Request) -> web.Response:
        numbers = [worker.number for worker in self._workers.each]
        return web.json_response({"workers": numbers})

    async def _show(self, request: web.Request) -> web.Response:
        answers = await self._ask_all(request.path)
        said = [_said(number, *answer) for number, answer in answers.items()]
        return web.json_response({"workers": said})

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        """Answer as one worker does, for as long as it has something to say."""
        known = {str(worker.number): worker for worker in self._workers.each}
        worker = known.get(request.match_info["worker"])
        if worker is None:
            raise web.HTTPNotFound
        if worker.announced is None or self._http is None:
            raise web.HTTPServiceUnavailable
        url = _url(worker.announced, f"/{request.match_info['path']}")
        try:
            async with self._http.get(url, timeout=_WITHOUT_END) as answer:
                response = web.StreamResponse(status=answer.status)
                response.content_type = answer.content_type
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                return response
        except (aiohttp.ClientError, TimeoutError):
            raise web.HTTPServiceUnavailable from None

    def _own_metrics(self) -> CollectorRegistry:
        up = GaugeMetricFamily(
            "worker_up", "1 for a worker process that runs.", labels=["worker"]
        )
        pid = GaugeMetricFamily(
            "worker_pid",
            "Process id of a worker; 0: it does not run.",
            labels=["worker"],
        )
        restarts = CounterMetricFamily(
            "worker_restarts",
            "Times that a worker was started again.",
            labels=["worker"],
        )
        for worker in self._workers.each:
            label = [str(worker.number)]
            up.add_metric(label, float(worker.announced is not None))
            restarts.add_metric(label, worker.restarts)
            pid.add_metric(label, worker.process.pid if worker.process else 0)
        registry = CollectorRegistry()
        registry.register(_Fixed(up, pid, restarts))
        return registry

    async def _ask_all(self, path: str) -> dict[int, _Answer]:
        each = self._workers.each
        answers = await asyncio.gather(*(self.ask(worker, path) for worker in each))
        return {
            worker.number: answer for worker, answer in zip(each, answers, strict=True)
        }


class _Fixed:
    """Metric families as they are now."""

    def __init__(self, *families: Any) -> None:  # noqa: ANN401 - any metric family
        self._families = families

    def collect(self) -> Any:  # noqa: ANN401
        return self._families


def _url(announced: Mapping[str, Any], path: str) -> str:
    return f"http://127.0.0.1:{announced['admin_port']}{path}"


def _said(number: int, status: int, text: str) -> dict[str, Any]:
    said: dict[str, Any] = orjson.loads(text)
    return {"worker": number, "status": status, **said}
