"""What Twilio requests over HTTP, and who may request it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from backhaul.clock import monotonic_s
from backhaul.core.messages import CloseReason
from edge import twiml
from edge.authentication import Authentication
from edge.calls import Calls
from edge.carrier_form import (
    Action,
    Addresses,
    BadFormError,
    CarrierForm,
    read_form,
    sip_user,
)
from edge.core.call_events import CallCompleted, StreamLost
from edge.desk import Desk
from edge.errands import Errands
from edge.metrics import EdgeMetrics
from edge.settings import EdgeSettings

__all__ = ["Webhook"]

_log = structlog.get_logger()

_QUEUE_FAILURES = frozenset({"error", "queue-full", "system-error"})
_ANSWERED = frozenset({"completed", "answered"})

_Answer = Callable[[CarrierForm], Awaitable[web.Response]]


class Webhook:
    """Answers the carrier's webhooks; every answer is idempotent per CallSid."""

    def __init__(
        self,
        settings: EdgeSettings,
        *,
        desk: Desk,
        calls: Calls,
        metrics: EdgeMetrics,
    ) -> None:
        self._settings = settings
        self._desk = desk
        self._calls = calls
        self._metrics = metrics
        addresses = Addresses(settings.site)
        self._errands = Errands(addresses, calls=calls, metrics=metrics)
        self._authentication = Authentication(settings)
        self._under_way: dict[str, asyncio.Future[str]] = {}
        self._abandoned: set[str] = set()
        """Calls that were over before their webhook was answered."""

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
        if form.finished:
            self._desk.hand_over.call_off(form.call_sid)
            if call is not None:
                call.feed(CallCompleted())
            elif form.call_sid in self._under_way:
                self._abandoned.add(form.call_sid)
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
            self._end_abandoned(form.call_sid)
        return text

    def _end_abandoned(self, call_sid: str) -> None:
        """End a call whose caller hung up while a session was searched for it."""
        if call_sid in self._abandoned:
            self._abandoned.remove(call_sid)
            call = self._calls.get(call_sid)
            if call is not None:
                call.feed(CallCompleted())

    async def _answer_call(self, form: CarrierForm) -> str:
        call = self._calls.get(form.call_sid)
        if call is not None:
            return call.twiml
        if self._calls.ended(form.call_sid) is not None:
            return twiml.hang_up()
        given = self._desk.hand_over.given(form.call_sid)
        if given is not None and not form.failed:
            return given.twiml
        if form.failed:
            text = await self._desk.rescue(form)
            if text is not None:
                return text
        profile = self._profile_of(form.called)
        if profile is None:
            return self._desk.profile_unknown()
        return await self._desk.take(form, profile)

    async def _answer_action(self, action: Action, form: CarrierForm) -> str:
        call = self._calls.get(form.call_sid)
        if call is None:
            return await self._answer_stranger(action, form)
        if form.finished:
            call.feed(CallCompleted())
            return twiml.hang_up()
        if (
            form.stream_number < call.machine.streams
            or (action, form.stream_number) == call.last_action
        ):
            return call.twiml  # this request was answered before
        if call.refuge and action is Action.RESUME:
            there = f"{call.refuge}/twilio/{action.value}/{form.stream_number}"
            call.note_answer(action, form.stream_number, twiml.redirect(there))
            return call.twiml
        text = self._errands.answer(call, action, form)
        if text is None and call.times.stream_started_at is None:
            # The carrier may have given this edge up, and come back from another one.
            text = await self._desk.rescue(form)
        if text is not None:
            return text
        call.feed(StreamLost(CloseReason.MEDIA_STREAM_LOST))
        return await self._desk.take_again(call, action, form.stream_number)

    async def _answer_stranger(self, action: Action, form: CarrierForm) -> str:
        """Return how a call goes on that this edge has not, or not any more."""
        elsewhere = self._desk.hand_over.where_now(
            form.call_sid, action, form.stream_number
        )
        if elsewhere is not None:
            return elsewhere
        text = await self._desk.rescue(form) if self._goes_on(action, form) else None
        return text or self._answer_late(action, form)

    def _goes_on(self, action: Action, form: CarrierForm) -> bool:
        """Tell whether a call may be live that another edge had."""
        ended = self._calls.ended(form.call_sid)
        if ended is not None and (
            ended.reason is not CloseReason.STALE_EPOCH
            or (action, form.stream_number) == ended.last_action
        ):
            return False
        return not form.finished and form.result not in _ANSWERED

    def _answer_late(self, action: Action, form: CarrierForm) -> str:
        """Return how a call goes on that is over, or of which nobody knows."""
        ended = self._calls.ended(form.call_sid)
        if action is Action.QUEUED or action is Action.FALLBACK:
            failed = form.result in _QUEUE_FAILURES
            if action is Action.FALLBACK:
                failed = form.result not in _ANSWERED and not form.finished
            return self._desk.goodbye() if failed else twiml.hang_up()
        if ended is not None and (action, form.stream_number) == ended.last_action:
            return ended.twiml  # this request was answered before
        if ended is None or ended.reason in _BROKEN:
            return self._desk.goodbye()
        return twiml.hang_up()

    def _profile_of(self, called: str) -> str | None:
        numbers: Mapping[str, str] = self._settings.numbers
        known = (numbers.get(name) for name in (called, sip_user(called), "*"))
        return next((profile for profile in known if profile), None)


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
