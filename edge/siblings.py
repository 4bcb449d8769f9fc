"""The workers of one edge: each request of a call is answered by the worker it is at.

All of them listen on the same public ports, and the kernel chooses who gets a
connection. A call is at the worker that its CallSid belongs to; tokens are made so that
they belong to the same one. Whoever gets a request of another worker's call passes it
on, as it came, to a port that only this host reaches; who answers checks the signature.
"""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl

import aiohttp
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from yarl import URL

from backhaul.rendezvous import Rendezvous
from edge.core.call_owner import owner_of
from edge.metrics import EdgeMetrics

__all__ = ["LOOPBACK", "Sibling", "Siblings", "WebhookRelay"]

LOOPBACK: Final = "127.0.0.1"

_TOKEN_BYTES: Final = 24
_WHISPER: Final = "/twilio/whisper/"
_PASSED_ON: Final = ("Content-Type", "X-Twilio-Signature", "I-Twilio-Idempotency-Token")
_TIMEOUT_S: Final = 12.0
"""Longer than any answer takes (s), and shorter than Twilio waits."""
_KEPT_S: Final = 5.0
"""How long an idle connection is used again (s): the other side closes it later."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Sibling:
    """Where one worker answers the others, on the loopback interface."""

    http_port: int
    media_port: int


class Siblings:
    """What one worker knows of all of them."""

    def __init__(
        self,
        number: int,
        each: Sequence[Sibling],
        rendezvous: Rendezvous | None = None,
    ) -> None:
        """Know who there is.

        Args:
            number: Of this worker, from 0.
            each: All workers, this one included; none if it is the only one.
            rendezvous: Where they wait for each other before they end.
        """
        self.number = number
        self.each = tuple(each)
        self._rendezvous = rendezvous

    @property
    def own(self) -> Sibling | None:
        """Where this worker answers the others; None: there are no others."""
        return self.each[self.number] if self.each else None

    def owns(self, name: str) -> bool:
        """Tell whether a CallSid or token belongs to this worker."""
        return self.other(name) is None

    def other(self, name: str) -> Sibling | None:
        """Return the worker that a CallSid or token belongs to; None: this one."""
        if not self.each:
            return None
        owner = owner_of(name, workers=len(self.each))
        return None if owner == self.number else self.each[owner]

    async def wait_drained(self, within_s: float) -> bool:
        """Say that this worker has drained, and wait until all have.

        Args:
            within_s: How long at most (s).

        Returns:
            Whether all have.
        """
        if self._rendezvous is None:
            return True
        return await self._rendezvous.wait_all(within_s)

    def new_token(self) -> str:
        """Return a secret that belongs to this worker."""
        while True:
            token = secrets.token_urlsafe(_TOKEN_BYTES)
            if self.owns(token):
                return token


class WebhookRelay:
    """Passes the webhooks of other workers' calls on to them."""

    def __init__(
        self, siblings: Siblings, *, metrics: EdgeMetrics, read_timeout_s: float
    ) -> None:
        """Know the others.

        Args:
            siblings: All workers.
            metrics: Where it is counted.
            read_timeout_s: For a request's body to arrive (s).
        """
        self._siblings = siblings
        self._metrics = metrics
        self._read_timeout_s = read_timeout_s
        self._http: aiohttp.ClientSession | None = None

    async def aclose(self) -> None:
        """Pass nothing on any more."""
        if self._http is not None:
            await self._http.close()

    @web.middleware
    async def pass_on(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        """Have the worker answer that has the call; if it cannot, this one does."""
        try:
            async with asyncio.timeout(self._read_timeout_s):
                body = await request.read()  # the handler gets it from memory
        except TimeoutError:
            return web.Response(status=HTTPStatus.REQUEST_TIMEOUT)
        other = self._siblings.other(_name_in(request, body))
        response = None if other is None else await self._ask(other, request, body)
        return await handler(request) if response is None else response

    async def _ask(
        self, other: Sibling, request: web.Request, body: bytes
    ) -> web.Response | None:
        path = request.raw_path
        if not path.startswith("/"):
            return None
        url = URL(f"http://{LOOPBACK}:{other.http_port}{path}", encoded=True)
        kept = {
            name: request.headers[name]
            for name in _PASSED_ON
            if name in request.headers
        }
        try:
            async with self._session().request(
                request.method, url, data=body, headers=kept, allow_redirects=False
            ) as answer:
                text = await answer.read()
                content_type = answer.content_type
        except (aiohttp.ClientError, TimeoutError) as exc:
            self._count("webhook", "failed")
            _log.warning("sibling.unreachable", error=type(exc).__name__)
            return None
        self._count("webhook", "passed_on")
        return web.Response(status=answer.status, body=text, content_type=content_type)

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEPT_S),
            )
        return self._http

    def _count(self, what: str, outcome: str) -> None:
        self._metrics.passed_on.labels(what=what, outcome=outcome).inc()


def _name_in(request: web.Request, body: bytes) -> str:
    """Return what says whose call it is; nobody has signed it yet."""
    if request.path.startswith(_WHISPER):
        return request.path.removeprefix(_WHISPER)
    try:
        pairs = parse_qsl(body.decode("ascii"), max_num_fields=200)
    except ValueError:
        return ""
    return dict(pairs).get("CallSid", "")
