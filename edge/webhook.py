"""What Twilio requests over HTTP: voice, resume and status webhooks."""

import asyncio
import random
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from backhaul.clock import monotonic_s
from backhaul.core.messages import CloseReason, LeaseRefused
from edge import twiml
from edge.call import Call, CallTimes
from edge.calls import Calls
from edge.core.call_machine import CallCompleted, CallConfig, Resumed, StreamLost
from edge.core.router import route
from edge.core.signature import (
    body_digest_matches,
    signature_matches,
    webhook_url_candidates,
)
from edge.links import AgentLinks, Lease
from edge.media_streams import MEDIA_PATH
from edge.metrics import EdgeMetrics
from edge.settings import EdgeSettings

__all__ = ["Webhook"]

_log = structlog.get_logger()

_CALL_SID = re.compile(r"CA[0-9a-f]{32}", re.ASCII)
_ACCOUNT_SID = re.compile(r"AC[0-9a-f]{32}", re.ASCII)
_MAX_PARAMETERS = 200
_FINISHED = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})

_Answer = Callable[["_Form"], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class _Form:
    """The parameters of a webhook that the edge reads."""

    call_sid: str
    to_number: str
    call_status: str
    stream_number: int
    """Which of the call's streams ended, in a resume request."""


class _BadRequestError(Exception):
    """The request is signed but its parameters cannot be used."""


def _read_form(parameters: tuple[tuple[str, str], ...], number: str) -> _Form:
    values = dict(parameters)
    call_sid, account_sid = values.get("CallSid", ""), values.get("AccountSid", "")
    if not (_CALL_SID.fullmatch(call_sid) and _ACCOUNT_SID.fullmatch(account_sid)):
        raise _BadRequestError
    return _Form(
        call_sid=call_sid,
        to_number=values.get("To", ""),
        call_status=values.get("CallStatus", ""),
        stream_number=int(number),
    )


class Webhook:
    """Answers the carrier's webhooks; every answer is idempotent per CallSid."""

    def __init__(
        self,
        settings: EdgeSettings,
        *,
        links: AgentLinks,
        calls: Calls,
        metrics: EdgeMetrics,
        rng: random.Random,
    ) -> None:
        self._settings = settings
        self._links = links
        self._calls = calls
        self._metrics = metrics
        self._rng = rng
        self._keys = tuple(key.reveal() for key in settings.twilio_auth_tokens)
        self._under_way: dict[str, asyncio.Future[str]] = {}
        self.draining = False

    def routes(self) -> list[web.RouteDef]:
        """Return the public routes."""
        return [
            web.post("/twilio/voice", self._guarded("voice", self._voice)),
            web.post(
                r"/twilio/resume/{number:\d{1,3}}",
                self._guarded("resume", self._resume),
            ),
            web.post("/twilio/status", self._guarded("status", self._status)),
        ]

    @web.middleware
    async def count_refusals(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        """Count what never reaches an endpoint: unknown paths, oversized bodies."""
        try:
            return await handler(request)
        except web.HTTPException as exc:
            outcome = f"http_{exc.status}"
            self._metrics.webhooks.labels(endpoint="other", outcome=outcome).inc()
            raise

    def _guarded(
        self, endpoint: str, answer: _Answer
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            outcome, response = await self._check(request, answer)
            self._metrics.webhooks.labels(endpoint=endpoint, outcome=outcome).inc()
            if outcome != "answered":
                _log.warning("webhook.refused", endpoint=endpoint, outcome=outcome)
            return response

        return handle

    async def _check(
        self, request: web.Request, answer: _Answer
    ) -> tuple[str, web.Response]:
        try:
            async with asyncio.timeout(self._settings.request_timeout_s):
                body = await request.read()
        except TimeoutError:
            return "too_slow", web.Response(status=408)
        parameters = self._authentic_parameters(request, body)
        if parameters is None:
            return "signature_invalid", web.Response(status=403)
        try:
            form = _read_form(parameters, request.match_info.get("number", "0"))
        except _BadRequestError:
            return "bad_request", web.Response(status=400)
        if not self._account_matches(parameters):
            return "account_unknown", web.Response(status=403)
        return "answered", await answer(form)

    def _authentic_parameters(
        self, request: web.Request, body: bytes
    ) -> tuple[tuple[str, str], ...] | None:
        parameters: tuple[tuple[str, str], ...] = ()
        if not request.raw_path.startswith("/"):
            return None  # a proxy's request form; the path would not be ours
        if request.content_type == "application/x-www-form-urlencoded":
            try:
                parameters = tuple(
                    parse_qsl(
                        body.decode("ascii"),
                        keep_blank_values=True,
                        max_num_fields=_MAX_PARAMETERS,
                    )
                )
            except ValueError:
                return None
        elif body and not body_digest_matches(request.query_string, body):
            return None
        matched = signature_matches(
            request.headers.get("X-Twilio-Signature", ""),
            keys=self._keys,
            candidates=webhook_url_candidates(
                self._settings.public_base_url, request.raw_path
            ),
            parameters=parameters,
        )
        return parameters if matched else None

    def _account_matches(self, parameters: tuple[tuple[str, str], ...]) -> bool:
        wanted = self._settings.account_sid
        return not wanted or dict(parameters).get("AccountSid") == wanted

    async def _voice(self, form: _Form) -> web.Response:
        started_at = monotonic_s()
        text = await self._once(form, self._answer_call)
        self._metrics.webhook_seconds.observe(monotonic_s() - started_at)
        return _xml(text)

    async def _resume(self, form: _Form) -> web.Response:
        return _xml(await self._once(form, self._answer_resume))

    async def _status(self, form: _Form) -> web.Response:
        call = self._calls.get(form.call_sid)
        if call is not None and form.call_status in _FINISHED:
            call.feed(CallCompleted())
        return web.Response(status=204)

    async def _once(
        self, form: _Form, answer: Callable[[_Form], Awaitable[str]]
    ) -> str:
        """Run *answer* once for requests of one call that arrive at the same time."""
        running = self._under_way.get(form.call_sid)
        if running is not None:
            return await asyncio.shield(running)
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._under_way[form.call_sid] = future
        text = twiml.say_and_hang_up(self._settings.apology)
        try:
            text = await answer(form)
        finally:
            del self._under_way[form.call_sid]
            future.set_result(text)
        return text

    async def _answer_call(self, form: _Form) -> str:
        call = self._calls.get(form.call_sid)
        if call is not None:
            return call.twiml
        if self._calls.ended(form.call_sid) is not None:
            return twiml.hang_up()
        profile = self._profile_of(form.to_number)
        if profile is None:
            return twiml.reject()
        times = CallTimes(webhook_at=monotonic_s())
        lease = None if self.draining else await self._lease(form.call_sid, profile)
        if lease is None:
            return twiml.say_and_hang_up(self._settings.apology)
        times.leased_at = monotonic_s()
        token = secrets.token_urlsafe(24)
        call = Call(
            call_sid=form.call_sid,
            profile=profile,
            lease=lease,
            token=token,
            twiml=self._stream_twiml(token, number=1),
            config=CallConfig(token_ttl_s=self._settings.token_ttl_s),
            on_ended=self._calls.remove,
            times=times,
        )
        self._calls.add(call)
        return call.twiml

    async def _answer_resume(self, form: _Form) -> str:
        call = self._calls.get(form.call_sid)
        if call is None:
            ended = self._calls.ended(form.call_sid)
            broken = ended is None or ended.reason in _BROKEN
            return self._goodbye() if broken else twiml.hang_up()
        if form.call_status in _FINISHED:
            call.feed(CallCompleted())
            return twiml.hang_up()
        if form.stream_number < call.machine.streams:
            return call.twiml  # this request was answered before
        call.feed(StreamLost(CloseReason.MEDIA_STREAM_LOST))
        return await self._reconnect(call)

    async def _reconnect(self, call: Call) -> str:
        lease = None
        if call.machine.may_resume and not self.draining:
            lease = await self._lease(call.call_sid, call.profile)
        if lease is None:
            return self._goodbye()
        if not call.machine.may_resume:
            lease.release()  # the caller hung up meanwhile
            return twiml.hang_up()
        token = secrets.token_urlsafe(24)
        text = self._stream_twiml(token, number=call.machine.streams + 1)
        self._calls.renew(call, lease=lease, token=token, twiml=text)
        call.feed(Resumed())
        return text

    async def _lease(self, call_sid: str, profile: str) -> Lease | None:
        """Return a session of the best agent that has one, within the time there is."""
        try:
            async with asyncio.timeout(self._settings.webhook_budget_s):
                return await self._ask_agents(call_sid, profile)
        except TimeoutError:
            _log.warning("call.unplaced", call_sid=call_sid, reasons="out of time")
            return None

    async def _ask_agents(self, call_sid: str, profile: str) -> Lease | None:
        agents = self._links.agents
        decision = route(
            (agent.snapshot(profile) for agent in agents.values()),
            preferred_region=self._settings.preferred_region,
            rng=self._rng,
        )
        for address in decision.candidates:
            agent = agents[address]
            got = await self._links.lease(agent, call_sid=call_sid, profile=profile)
            if isinstance(got, LeaseRefused):
                outcome = got.reason.value
            else:
                outcome = "warm" if got.warm else "cold"
            self._metrics.leases.labels(region=agent.region, outcome=outcome).inc()
            if not isinstance(got, LeaseRefused):
                return got
        _log.warning("call.unplaced", call_sid=call_sid, reasons=decision.reasons)
        return None

    def _profile_of(self, called: str) -> str | None:
        numbers: Mapping[str, str] = self._settings.numbers
        return numbers.get(called, numbers.get("*"))

    def _stream_twiml(self, token: str, *, number: int) -> str:
        return twiml.connect_stream(
            f"{self._settings.media_base_url}{MEDIA_PATH}{token}",
            f"{self._settings.public_base_url}/twilio/resume/{number}",
        )

    def _goodbye(self) -> str:
        return twiml.say_and_hang_up(self._settings.apology)


_BROKEN = frozenset(
    {
        CloseReason.SESSION_LOST,
        CloseReason.LINK_LOST,
        CloseReason.LEASE_UNKNOWN,
        CloseReason.MEDIA_STREAM_INVALID,
        CloseReason.MEDIA_STREAM_LOST,
        CloseReason.INTERNAL_ERROR,
        CloseReason.NEVER_STARTED,
        CloseReason.DRAINED,
    }
)


def _xml(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/xml")
