"""One stand-in call: asks for TwiML, obeys it verb by verb and ends the call."""

import asyncio
import math
import secrets
import ssl
from dataclasses import dataclass
from email.utils import format_datetime
from typing import Literal
from urllib.parse import urljoin

from backhaul.clock import monotonic_s
from lab.media_clock import MediaClock
from lab.media_wire import MediaWire
from lab.twilio_facts import call_parameters, utc_now
from lab.twilio_leg import LegEnd, MediaLeg
from lab.twilio_line import CallerLine
from lab.twilio_plan import CallPlan
from lab.twilio_report import CallReport
from lab.twilio_transfer import Transfers
from lab.twilio_webhook import WebhookClient, WebhookError
from lab.twiml import TwimlError, parse_twiml
from lab.twiml_verbs import (
    Connect,
    Dial,
    Enqueue,
    Hangup,
    Pause,
    Play,
    Redirect,
    Refer,
    Reject,
    Say,
    Stream,
    Verb,
)

__all__ = ["Call", "Carrier"]

_MAX_VERBS = 50
"""A call that redirects to itself must end."""
_VERB_S = 0.2
"""How long Play, Say and Pause take here; their length is not the question."""
_DIGIT_S, _DIGIT_PAUSE_S = 0.1, 0.5
"""One touch tone, and a `w` among them."""
_NOT_OVER_SIP = 12200

EndedBy = Literal["caller", "twiml", "rejected", "error"]


class _CallFailedError(Exception):
    """The caller hears an application error: no TwiML could be had, or no stream."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """What all calls of a stand-in share."""

    account_sid: str
    webhooks: WebhookClient
    clock: MediaClock
    ssl_context: ssl.SSLContext | None


class Call:
    """One call; run it once."""

    def __init__(self, plan: CallPlan, carrier: Carrier) -> None:
        self._plan = plan
        self._carrier = carrier
        self._sid = "CA" + secrets.token_hex(16)
        self._line = CallerLine(plan)
        self._log = self._line.log
        self._url = plan.webhook_url
        self._status = "ringing"
        self._fallback_url = plan.fallback_url
        self._verbs: list[Verb] = []
        self._transfers = Transfers(
            plan,
            self._line,
            carrier.webhooks,
            lambda: self._parameters(self._status),
        )

    async def run(self) -> CallReport:
        """Place the call and return what came of it; never raises for the peer."""
        self._carrier.clock.add(self._line.tick)
        if self._plan.earpiece is not None:
            self._plan.earpiece.on_call(self._sid)
        try:
            async with asyncio.TaskGroup() as notices:
                ended_by = await self._obey_all(notices)
                ended_at = monotonic_s()
        finally:
            self._carrier.clock.remove(self._line.tick)
        self._log.note(f"call ended by {ended_by}", at=ended_at)
        await self._tell_status(math.ceil(ended_at - self._log.started_at))
        return self._line.report(self._sid, ended_by=ended_by, ended_at=ended_at)

    async def _obey_all(self, notices: asyncio.TaskGroup) -> EndedBy:
        try:
            self._verbs = await self._fetch(self._url, "POST")
            self._line.note_webhook()
            for _ in range(_MAX_VERBS):
                if self._line.hung_up.done():
                    return "caller"
                verb = self._verbs.pop(0) if self._verbs else Hangup()
                if isinstance(verb, Hangup | Reject):
                    return self._end(verb)
                await self._obey(verb, notices)
        except _CallFailedError:
            return "error"
        self._log.error(0, f"more than {_MAX_VERBS} verbs")
        return "error"

    def _end(self, verb: Hangup | Reject) -> EndedBy:
        name = type(verb).__name__
        self._line.verbs.append(name)
        self._log.note(f"<{name}>")
        rejected = isinstance(verb, Reject) and not self._line.answered
        return "rejected" if rejected else "twiml"

    async def _obey(self, verb: Verb, notices: asyncio.TaskGroup) -> None:
        match verb:
            case Redirect(url=url, method=method):
                self._note(f"Redirect {url}")
                self._verbs = await self._fetch(urljoin(self._url, url), method)
            case Connect():
                await self._connect(verb, notices)
            case Play() | Say() | Pause():
                await self._perform(verb)
            case Dial() | Enqueue() | Refer():
                await self._transfer(verb, notices)
            case Hangup() | Reject():
                pass  # the end of the call, taken by the caller of this

    async def _perform(self, verb: Play | Say | Pause) -> None:
        what, seconds = _performance(verb)
        if isinstance(verb, Play) and verb.digits:
            self._line.digits_played.append(verb.digits)
        self._answer(what)
        await asyncio.wait({self._line.hung_up}, timeout=seconds)

    async def _connect(self, verb: Connect, notices: asyncio.TaskGroup) -> None:
        # Without the stream's URL: its last part is a token.
        self._note("Connect")
        end = await self._stream(verb.stream, notices)
        self._log.note(f"media stream {end.name.lower()}")
        if end is LegEnd.VANISHED and self._plan.after_lost_stream == "end":
            raise _CallFailedError
        if not verb.action:
            return
        await self._go_on(verb.action, verb.method, hung_up=end is LegEnd.HUNG_UP)

    async def _go_on(
        self,
        action: str,
        method: str,
        facts: dict[str, str] | None = None,
        *,
        hung_up: bool,
    ) -> None:
        """Ask a verb's action what comes next, or only tell it of the call's end."""
        url = urljoin(self._url, action)
        if hung_up:
            ended = {**self._parameters("completed"), **(facts or {})}
            await self._tell(url, method, ended)
        else:
            self._verbs = await self._fetch(url, method, facts)

    async def _stream(self, stream: Stream, notices: asyncio.TaskGroup) -> LegEnd:
        self._status = "in-progress"
        parameters = dict(stream.parameters or {})
        wire = MediaWire(
            stream_sid="MZ" + secrets.token_hex(16),
            call_sid=self._sid,
            account_sid=self._carrier.account_sid,
            parameters=parameters,
        )
        leg = MediaLeg(wire, self._line.player, self._log)
        self._line.attach(leg, wire.stream_sid, parameters)

        def tell(event: str) -> None:
            facts = self._stream_facts(stream, wire.stream_sid, event, leg.failure)
            notices.create_task(self._tell_stream(stream, facts))

        def on_start() -> None:
            self._line.note_start()
            tell("stream-started")

        try:
            end = await leg.run(
                stream.url,
                self._carrier.webhooks.signature(stream.url),
                ssl_context=self._carrier.ssl_context,
                hung_up=self._line.hung_up,
                on_start=on_start,
                reads_slowly=self._plan.read_pause is not None,
            )
        finally:
            self._line.detach(leg)
        tell("stream-error" if leg.failure else "stream-stopped")
        return end

    async def _transfer(
        self, verb: Dial | Enqueue | Refer, notices: asyncio.TaskGroup
    ) -> None:
        if isinstance(verb, Dial):
            self._answer(f"Dial {' '.join(to.address for to in verb.targets)}")
            facts = await self._transfers.dial(verb, self._url, notices)
        elif isinstance(verb, Enqueue):
            self._answer(f"Enqueue {verb.name}")
            facts = await self._transfers.enqueue(verb)
        else:
            self._answer(f"Refer {verb.uri}")
            if not self._plan.over_sip:
                reason = "<Refer> in a call that did not come over SIP"
                self._log.error(_NOT_OVER_SIP, reason)
                raise _CallFailedError
            facts = await self._transfers.refer(verb)
        if verb.action:
            hung_up = self._line.hung_up.done()
            await self._go_on(verb.action, verb.method, facts, hung_up=hung_up)

    def _answer(self, what: str) -> None:
        """Begin a verb that answers the call."""
        self._status = "in-progress"
        self._line.answered = True
        self._note(what)

    def _note(self, what: str) -> None:
        self._line.verbs.append(what)
        self._log.note(f"<{what}>")

    async def _fetch(
        self, url: str, method: str, extra: dict[str, str] | None = None
    ) -> list[Verb]:
        """Return the verbs found at *url*, or once at the fallback URL.

        Raises:
            _CallFailedError: Neither gave TwiML that can be carried out.
        """
        parameters = {**self._parameters(self._status), **(extra or {})}
        try:
            document = await self._carrier.webhooks.fetch(url, method, parameters)
            verbs = list(parse_twiml(document))
        except (WebhookError, TwimlError) as exc:
            self._log.refused(exc)
            fallback, self._fallback_url = self._fallback_url, ""
            if not fallback:
                raise _CallFailedError from exc
            facts = {"ErrorCode": str(exc.twilio_code), "ErrorUrl": url}
            return await self._fetch(fallback, "POST", facts)
        self._url = url
        return verbs

    def _parameters(self, status: str) -> dict[str, str]:
        return call_parameters(
            self._plan,
            call_sid=self._sid,
            account_sid=self._carrier.account_sid,
            status=status,
        )

    async def _tell(self, url: str, method: str, parameters: dict[str, str]) -> None:
        try:
            await self._carrier.webhooks.notify(url, method, parameters)
        except WebhookError as exc:
            self._log.refused(exc)

    async def _tell_stream(self, stream: Stream, facts: dict[str, str]) -> None:
        if stream.status_callback:
            method = stream.status_callback_method
            await self._tell(stream.status_callback, method, facts)

    def _stream_facts(
        self, stream: Stream, stream_sid: str, event: str, failure: int
    ) -> dict[str, str]:
        error = {"StreamError": str(failure)} if failure else {}
        return {
            "AccountSid": self._carrier.account_sid,
            "CallSid": self._sid,
            "StreamSid": stream_sid,
            "StreamName": stream.name or stream_sid,
            "StreamEvent": event,
            "Timestamp": utc_now().isoformat(),
            **error,
        }

    async def _tell_status(self, duration_s: int) -> None:
        if not self._plan.status_callback:
            return
        facts = {
            "CallDuration": str(duration_s),
            "Duration": str(math.ceil(duration_s / 60)),
            "Timestamp": format_datetime(utc_now()),
            "CallbackSource": "call-progress-events",
            "SequenceNumber": "0",
        }
        parameters = {**self._parameters("completed"), **facts}
        await self._tell(self._plan.status_callback, "POST", parameters)


def _performance(verb: Play | Say | Pause) -> tuple[str, float]:
    """Return what a verb does and how long (s) it takes here."""
    match verb:
        case Play(digits="", url=url):
            return f"Play {url}", _VERB_S
        case Play(digits=digits):
            pauses = digits.count("w") + digits.count("W")
            tones = len(digits) - pauses
            seconds = pauses * _DIGIT_PAUSE_S + tones * _DIGIT_S
            return f"Play digits {digits}", seconds
        case Say(text=text):
            return f"Say {text}", _VERB_S
        case Pause(length_s=length_s):
            return f"Pause {length_s}", _VERB_S
