"""What Twilio requests over HTTP, and who may request it."""

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable, Mapping

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from backhaul.clock import monotonic_s
from backhaul.core.messages import CloseReason
from edge import twiml
from edge.authentication import Authentication
from edge.call import Call
from edge.call_facts import Caller, CallTimes
from edge.calls import Calls
from edge.carrier_form import (
    Action,
    Addresses,
    BadFormError,
    CarrierForm,
    read_form,
    sip_user,
)
from edge.core.call_events import CallCompleted, Resumed, StreamLost
from edge.core.call_machine import CallConfig
from edge.errands import Errands
from edge.links import AgentLinks
from edge.metrics import EdgeMetrics
from edge.placement import Placement
from edge.settings import EdgeSettings

__all__ = ["Webhook"]

_log = structlog.get_logger()

_QUEUE_FAILURES = frozenset({"error", "queue-full", "system-error"})

_Answer = Callable[[CarrierForm], Awaitable[web.Response]]


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
        self._calls = calls
        self._metrics = metrics
        self._placement = Placement(settings, links=links, metrics=metrics, rng=rng)
        self._addresses = Addresses(settings)
        self._errands = Errands(self._addresses, calls=calls, metrics=metrics)
        self._authentication = Authentication(settings)
        self._under_way: dict[str, asyncio.Future[str]] = {}
        self.draining = False

    def routes(self) -> list[web.RouteDef]:
        """Return the public routes."""
        return [
            web.post("/twilio/voice", self._guarded("voice", self._voice)),
            *(
                web.post(
                    rf"/twilio/{action.value}/{{number:[0-9]{{1,3}}}}",
                    self._guarded(action.value, self._action(action)),
                )
                for action in Action
            ),
            web.post(
                r"/twilio/whisper/{token:[A-Za-z0-9_-]{32}}",
                self._guarded("whisper", self._whisper),
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
        parameters = self._authentication.parameters(request, body)
        if parameters is None:
            return "signature_invalid", web.Response(status=403)
        try:
            form = read_form(parameters, request.match_info)
        except BadFormError:
            return "bad_request", web.Response(status=400)
        if not self._authentication.account_matches(parameters):
            return "account_unknown", web.Response(status=403)
        return "answered", await answer(form)

    async def _voice(self, form: CarrierForm) -> web.Response:
        started_at = monotonic_s()
        text = await self._once(form, self._answer_call)
        self._metrics.webhook_seconds.observe(monotonic_s() - started_at)
        return _xml(text)

    def _action(self, action: Action) -> _Answer:
        async def answer(form: CarrierForm) -> str:
            return await self._answer_action(action, form)

        async def respond(form: CarrierForm) -> web.Response:
            return _xml(await self._once(form, answer))

        return respond

    async def _whisper(self, form: CarrierForm) -> web.Response:
        return _xml(self._errands.whisper(form))

    async def _status(self, form: CarrierForm) -> web.Response:
        call = self._calls.get(form.call_sid)
        if call is not None and form.finished:
            call.feed(CallCompleted())
        return web.Response(status=204)

    async def _once(
        self, form: CarrierForm, answer: Callable[[CarrierForm], Awaitable[str]]
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

    async def _answer_call(self, form: CarrierForm) -> str:
        call = self._calls.get(form.call_sid)
        if call is not None:
            return call.twiml
        if self._calls.ended(form.call_sid) is not None:
            return twiml.hang_up()
        profile = self._profile_of(form.called)
        if profile is None:
            return twiml.reject()
        times = CallTimes(webhook_at=monotonic_s())
        lease = None
        if not self.draining:
            lease = await self._placement.lease(form.call_sid, profile)
        if lease is None:
            return twiml.say_and_hang_up(self._settings.apology)
        times.leased_at = monotonic_s()
        token = secrets.token_urlsafe(24)
        call = Call(
            call_sid=form.call_sid,
            profile=profile,
            caller=Caller(form.caller, form.called, over_sip=form.over_sip),
            lease=lease,
            token=token,
            twiml=self._stream_twiml(token, number=1),
            config=CallConfig(
                token_ttl_s=self._settings.token_ttl_s,
                away_timeout_s=self._settings.away_timeout_s,
            ),
            metrics=self._metrics,
            on_ended=self._calls.remove,
            times=times,
        )
        self._calls.add(call)
        return call.twiml

    async def _answer_action(self, action: Action, form: CarrierForm) -> str:
        call = self._calls.get(form.call_sid)
        if call is None:
            return self._answer_late(action, form)
        if form.finished:
            call.feed(CallCompleted())
            return twiml.hang_up()
        if (
            form.stream_number < call.machine.streams
            or (action, form.stream_number) == call.last_action
        ):
            return call.twiml  # this request was answered before
        text = self._errands.answer(call, action, form)
        if text is not None:
            return text
        call.feed(StreamLost(CloseReason.MEDIA_STREAM_LOST))
        return await self._reconnect(call)

    def _answer_late(self, action: Action, form: CarrierForm) -> str:
        """Return how a call goes on that is over for this edge."""
        ended = self._calls.ended(form.call_sid)
        if action is Action.QUEUED:
            failed = form.result in _QUEUE_FAILURES
            return self._goodbye() if failed else twiml.hang_up()
        if ended is None or ended.reason in _BROKEN:
            return self._goodbye()
        repeated = (action, form.stream_number) == ended.last_action
        return ended.twiml if repeated else twiml.hang_up()

    async def _reconnect(self, call: Call) -> str:
        lease = None
        if call.machine.may_resume and not self.draining:
            lease = await self._placement.lease(call.call_sid, call.profile)
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

    def _profile_of(self, called: str) -> str | None:
        numbers: Mapping[str, str] = self._settings.numbers
        known = (numbers.get(name) for name in (called, sip_user(called), "*"))
        return next((profile for profile in known if profile), None)

    def _stream_twiml(self, token: str, *, number: int) -> str:
        return twiml.connect_stream(
            self._addresses.stream(token),
            self._addresses.action(Action.RESUME, number),
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
