"""Holds a scripted conversation between the two stand-ins, and judges it."""

import asyncio
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import aiohttp
import msgspec

from backhaul.clock import monotonic_s
from lab.conversation_script import ConversationScript, ScriptError
from lab.model_expectations import judge_model, judge_script
from lab.speech_files import lines_in
from lab.twilio import TwilioStandIn
from lab.twilio_report import CallReport, StepReport

__all__ = ["ScriptResult", "run_script"]

_CONTROL_TIMEOUT_S = 10.0
_SETTLE_S = 5.0
"""How long the model's sessions may take to end after the call."""
_POLL_S = 0.05


class ScriptResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a script.

    Attributes:
        steps: The caller's steps, then what was expected of the carrier and the model.
        heard: Names of the lines that the caller heard whole, in order.
        sessions: The model's sessions of the call, as its control endpoint shows them.
    """

    name: str
    steps: tuple[StepReport, ...]
    heard: tuple[str, ...]
    call: CallReport
    sessions: tuple[dict[str, Any], ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every expectation held."""
        return all(step.ok for step in self.steps)

    @property
    def problems(self) -> tuple[str, ...]:
        """What went otherwise, one line each."""
        wrong = (step for step in self.steps if not step.ok)
        return tuple(f"{step.step}: {step.detail}" for step in wrong)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but audio, ready for JSON."""
        return {
            "name": self.name,
            "ok": self.ok,
            "steps": msgspec.to_builtins(self.steps),
            "heard": list(self.heard),
            "call": self.call.to_dict(),
            "sessions": list(self.sessions),
        }


async def run_script(
    script: ConversationScript,
    *,
    stand_in: TwilioStandIn,
    webhook_url: str,
    status_callback: str = "",
    model_control: str = "",
) -> ScriptResult:
    """Hold the conversation over *webhook_url* and judge it.

    Args:
        script: The conversation.
        stand_in: Places the call.
        webhook_url: The voice URL of the number.
        status_callback: Told at the end of the call.
        model_control: Control URL of the Realtime stand-in that the call will reach;
            needed when the script says anything about the model. No other call may
            reach that stand-in meanwhile.

    Raises:
        ScriptError: The model's side cannot be scripted or asked.
    """
    if (script.model or script.expectations) and not model_control:
        raise ScriptError("the script is about the model: name its control URL")
    plan = replace(
        script.plan, webhook_url=webhook_url, status_callback=status_callback
    )
    if not model_control:
        return _judge(script, await stand_in.place_call(plan), ())
    timeout = aiohttp.ClientTimeout(total=_CONTROL_TIMEOUT_S)
    async with aiohttp.ClientSession(model_control, timeout=timeout) as http:
        model = _Model(http)
        try:
            await model.prepare(script)
            report = await stand_in.place_call(plan)
            return _judge(script, report, await model.sessions_of_call())
        except (aiohttp.ClientError, TimeoutError) as exc:
            reason = f"{type(exc).__name__}: {exc}"
            raise ScriptError(f"model at {model_control}: {reason}") from None


class _Model:
    """The Realtime stand-in, by its control endpoint."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http
        self._before: frozenset[str] = frozenset()

    async def prepare(self, script: ConversationScript) -> None:
        """Remember the sessions of earlier calls and hand over the model's turns."""
        self._before = frozenset(s["id"] for s in await self._sessions())
        await self._forget_scripts()
        if not script.model:
            return
        body = msgspec.json.encode({"turns": script.model})
        async with self._http.post("/lab/script", data=body) as response:
            if response.status != HTTPStatus.OK:
                raise ScriptError(f"model turns refused: {await response.text()}")

    async def sessions_of_call(self) -> tuple[dict[str, Any], ...]:
        """Return the sessions that the call reached, ended if they end soon."""
        deadline = monotonic_s() + _SETTLE_S
        while True:
            found = [s for s in await self._sessions() if s["id"] not in self._before]
            ended = all(session["state"] == "closed" for session in found)
            if (found and ended) or monotonic_s() >= deadline:
                await self._forget_scripts()
                return tuple(found)
            await asyncio.sleep(_POLL_S)

    async def _sessions(self) -> list[dict[str, Any]]:
        """Return the sessions that have heard a caller."""
        async with self._http.get("/lab/sessions") as response:
            response.raise_for_status()
            ledger = msgspec.json.decode(await response.read(), type=dict[str, Any])
        return [s for s in ledger["sessions"] if s["audio_in"]["bytes"] > 0]

    async def _forget_scripts(self) -> None:
        """Let no call take a script that was meant for another."""
        async with self._http.delete("/lab/script") as response:
            response.raise_for_status()


def _judge(
    script: ConversationScript,
    report: CallReport,
    sessions: tuple[dict[str, Any], ...],
) -> ScriptResult:
    known = set(script.expected_errors)
    errors = [error for error in report.errors if error.code not in known]
    complaints = "; ".join(f"{error.code} {error.detail}" for error in errors)
    later = [("the carrier has nothing to complain of", complaints)]
    later += [
        (str(expected), judge_model(expected, sessions, report.voice))
        for expected in script.expectations
    ]
    if script.model:
        departure = judge_script(sessions, len(script.model))
        later.append(("the model follows its script", departure))
    judged = (StepReport(what, not wrong, None, wrong) for what, wrong in later)
    return ScriptResult(
        name=script.name,
        steps=(*report.steps, *judged),
        heard=lines_in(report.voice),
        call=report,
        sessions=sessions,
    )
