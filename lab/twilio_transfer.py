"""Who answers when a call is dialled on, queued or referred: as the plan says."""

import asyncio
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urljoin

from backhaul.clock import monotonic_s
from lab.twilio_facts import child_parameters, utc_now
from lab.twilio_line import CallerLine
from lab.twilio_plan import CallPlan
from lab.twilio_report import TransferReport
from lab.twilio_webhook import WebhookClient, WebhookError
from lab.twiml import TwimlError, parse_twiml
from lab.twiml_verbs import Dial, DialTarget, Enqueue, Play, Refer, Say

__all__ = ["Transfers"]

_WHISPER_S = 0.2
"""How long a whispered verb takes here."""
_BAD_CALLER_ID, _BAD_NUMBER, _NOT_ALLOWED = 13214, 13224, 12200
_E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_NOTIFIED_CODE = {"completed": "200", "busy": "486", "no-answer": "480"}


@dataclass(slots=True)
class _Leg:
    """The call to one target of a `<Dial>`."""

    target: DialTarget
    call_sid: str
    caller: str
    whispers: list[str]
    told: int = 0
    bridged_at: float | None = None


class Transfers:
    """Carries out `<Dial>`, `<Enqueue>` and `<Refer>` of one call.

    Each returns the parameters for the verb's action URL. A caller who hangs up
    meanwhile ends it.
    """

    def __init__(
        self,
        plan: CallPlan,
        line: CallerLine,
        webhooks: WebhookClient,
        parameters: Callable[[], Mapping[str, str]],
    ) -> None:
        """*parameters* returns those of a request about the call itself."""
        self._plan = plan
        self._line = line
        self._webhooks = webhooks
        self._parameters = parameters

    async def dial(
        self, verb: Dial, base_url: str, notices: asyncio.TaskGroup
    ) -> dict[str, str]:
        """Ring who is dialled and let the parties talk.

        All targets ring; as they are scripted alike, the first is who answers.
        """
        caller = verb.caller_id or self._parameters()["From"]
        sid = "CA" + secrets.token_hex(16)
        leg = _Leg(verb.targets[0], sid, caller, whispers=[])

        def tell(event: str, status: str) -> None:
            self._tell_progress(leg, event, status, base_url, notices)

        tell("initiated", "initiated")
        status = self._refused(leg)
        if not status:
            tell("ringing", "ringing")
            status = await self._ring(verb, leg)
        if status == "answered":
            tell("answered", "in-progress")
            status = await self._talk(verb, leg, base_url)
        tell("completed", status)
        return self._dialled(verb, leg, status)

    async def enqueue(self, verb: Enqueue) -> dict[str, str]:
        """Let the caller wait, and talk to who takes the call."""
        planned = self._plan.queue
        began = monotonic_s()
        result: str = planned.result
        if result != "queue-full":
            await self._pass(planned.wait_s)
        queue_s = monotonic_s() - began
        talked_at = None
        if self._line.hung_up.done():
            result = "hangup"
        elif result == "bridged":
            talked_at = monotonic_s()
            await self._pass(planned.talk_s)
        self._report("Queue", verb.name, result, talked_at=talked_at)
        facts = {"QueueResult": result}
        if result not in {"queue-full", "system-error"}:
            facts["QueueSid"] = "QU" + secrets.token_hex(16)
            facts["QueueTime"] = str(round(queue_s))
        return facts

    async def refer(self, verb: Refer) -> dict[str, str]:
        """Ask the caller's side to call somebody else."""
        status = self._plan.refer.status
        await self._pass(self._plan.refer.after_s)
        self._report("Refer", verb.uri, status)
        if status == "failed":
            return {"ReferCallStatus": status, "ReferSipResponseCode": "603"}
        return {
            "ReferCallStatus": status,
            "ReferSipResponseCode": "202",
            "NotifySipResponseCode": _NOTIFIED_CODE[status],
        }

    def _refused(self, leg: _Leg) -> str:
        """Return ``failed`` when Twilio would not even ring, else nothing."""
        if leg.target.kind != "Number":
            return ""
        if not _E164.fullmatch(leg.target.address):
            self._line.log.error(_BAD_NUMBER, "<Number> is not in E.164 form")
            return "failed"
        if not _E164.fullmatch(leg.caller):
            # A caller without a number, such as one at a SIP domain, needs callerId.
            self._line.log.error(_BAD_CALLER_ID, "caller id is not a number")
            return "failed"
        return ""

    async def _ring(self, verb: Dial, leg: _Leg) -> str:
        planned = self._plan.dial
        await self._pass(min(planned.after_s, verb.timeout_s))
        self._line.log.note(f"{leg.target.kind} rang")
        if self._line.hung_up.done():
            return "canceled"
        too_late = planned.outcome == "answered" and planned.after_s >= verb.timeout_s
        return "no-answer" if too_late else planned.outcome

    async def _talk(self, verb: Dial, leg: _Leg, base_url: str) -> str:
        """Whisper to who answered, then let the parties talk."""
        try:
            await self._whisper(leg, base_url)
        except (WebhookError, TwimlError) as exc:
            # Not documented; the worst that can happen is that nobody talks.
            self._line.log.refused(exc)
            return "failed"
        if not self._line.hung_up.done():
            leg.bridged_at = monotonic_s()
            self._line.log.note("parties connected", at=leg.bridged_at)
            await self._pass(min(self._plan.dial.talk_s, verb.time_limit_s))
        return "completed"

    async def _whisper(self, leg: _Leg, base_url: str) -> None:
        target = leg.target
        if not target.url:
            return
        url = urljoin(base_url, target.url)
        parameters = self._leg_parameters(leg, "in-progress")
        verbs = parse_twiml(await self._webhooks.fetch(url, target.method, parameters))
        for verb in verbs:
            if not isinstance(verb, Say | Play):
                name = type(verb).__name__
                raise TwimlError(_NOT_ALLOWED, f"<{name}> for who answers a <Dial>")
            said = verb.text if isinstance(verb, Say) else f"Play {verb.url}"
            leg.whispers.append(said)
            await self._pass(_WHISPER_S)

    def _dialled(self, verb: Dial, leg: _Leg, status: str) -> dict[str, str]:
        seconds = self._report(
            leg.target.kind,
            leg.target.address,
            status,
            call_sid=leg.call_sid,
            whispers=tuple(leg.whispers),
            talked_at=leg.bridged_at,
        )
        for target in verb.targets[1:]:
            self._report(target.kind, target.address, "canceled")
        facts = {
            "DialCallStatus": status,
            "DialCallSid": leg.call_sid,
            "DialBridged": "false" if leg.bridged_at is None else "true",
        }
        if status == "completed":
            facts["DialCallDuration"] = str(round(seconds))
        return facts

    def _report(
        self,
        kind: str,
        target: str,
        status: str,
        *,
        call_sid: str = "",
        whispers: tuple[str, ...] = (),
        talked_at: float | None = None,
    ) -> float:
        """Add to the call's report; return how long the parties talked (s)."""
        talked_s = 0.0 if talked_at is None else monotonic_s() - talked_at
        self._line.transfers.append(
            TransferReport(
                kind=kind,
                target=target,
                status=status,
                call_sid=call_sid,
                whispers=whispers,
                talked_s=round(talked_s, 3),
            )
        )
        self._line.log.note(f"{kind.lower()} transfer {status}")
        return talked_s

    def _tell_progress(
        self,
        leg: _Leg,
        event: str,
        status: str,
        base_url: str,
        notices: asyncio.TaskGroup,
    ) -> None:
        target = leg.target
        if not target.status_callback or event not in target.events:
            return
        parameters = self._leg_parameters(leg, status) | {
            "CallbackSource": "call-progress-events",
            "SequenceNumber": str(leg.told),
            "Timestamp": utc_now().isoformat(),
        }
        leg.told += 1
        url = urljoin(base_url, target.status_callback)
        notices.create_task(
            self._notify(url, target.status_callback_method, parameters)
        )

    async def _notify(self, url: str, method: str, parameters: dict[str, str]) -> None:
        try:
            await self._webhooks.notify(url, method, parameters)
        except WebhookError as exc:
            self._line.log.refused(exc)

    def _leg_parameters(self, leg: _Leg, status: str) -> dict[str, str]:
        return child_parameters(
            self._parameters(),
            call_sid=leg.call_sid,
            called=leg.target.address,
            caller=leg.caller,
            status=status,
        )

    async def _pass(self, seconds: float) -> None:
        await asyncio.wait({self._line.hung_up}, timeout=max(seconds, 0.0))
