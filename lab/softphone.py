"""The console's telephone: stand-in calls in which a person may talk and listen."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from console.abilities import Earpiece, PhoneOrder, PhoneProblemError, Voice
from lab.speech_files import caller_lines
from lab.twilio import CallPlan, Turn, TwilioStandIn

__all__ = ["LocalPhone"]

_LONGEST_S: Final = 900.0
_RECORDED_TURNS: Final = 2
_ELSEWHERE: Final = "+14155550123"
"""Who calls where the fabric does not say from where."""


class LocalPhone:
    """Calls the edges of a local fabric, as the carrier would; a `Phone`.

    Use inside a running event loop; end the calls before `aclose`.
    """

    def __init__(
        self,
        describe: Callable[[], Mapping[str, Any]],
        *,
        callers: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare to call.

        Args:
            describe: Returns what the fabric says of itself, as it stands.
            callers: A caller's number by edge.
        """
        self._describe = describe
        self._callers = callers or {}
        described = describe()
        self._account_sid: str = described["account_sid"]
        self._stand_in = TwilioStandIn(
            self._account_sid, described["twilio_auth_token"]
        )

    def offers(self) -> Mapping[str, Any]:
        """See `Phone`."""
        described = self._describe()
        if not described:
            return {"edges": [], "numbers": []}
        return {
            "edges": [edge["name"] for edge in described["edges"]],
            "numbers": [
                {"number": number, "profile": described["profiles"][number]}
                for number in described["numbers"]
            ],
        }

    async def call(
        self, order: PhoneOrder, voice: Voice, earpiece: Earpiece
    ) -> Mapping[str, Any]:
        """See `Phone`."""
        plan = self._plan(order, voice, earpiece)
        report = await self._stand_in.place_call(plan)
        return {
            "call_sid": report.call_sid,
            "answered": report.answered,
            "ended_by": report.ended_by,
            "first_audio_ms": report.first_audio_ms,
            "webhook_ms": report.webhook_ms,
            "duration_s": report.duration_s,
            "errors": [error.detail for error in report.errors],
        }

    async def aclose(self) -> None:
        """Place no more calls."""
        await self._stand_in.aclose()

    def _plan(self, order: PhoneOrder, voice: Voice, earpiece: Earpiece) -> CallPlan:
        described = self._describe()
        if described.get("account_sid") != self._account_sid:
            raise PhoneProblemError("the fabric that this page belongs to has ended")
        edges = {edge["name"]: edge for edge in described["edges"]}
        if order.edge not in edges or order.number not in described["numbers"]:
            raise PhoneProblemError("there is no such edge or number")
        base = edges[order.edge]["public_url"]
        lines = caller_lines()[:_RECORDED_TURNS]
        return CallPlan(
            webhook_url=f"{base}/twilio/voice",
            status_callback=f"{base}/twilio/status",
            from_number=self._callers.get(order.edge, _ELSEWHERE),
            to_number=order.number,
            steps=tuple(Turn(line.audio) for line in lines) if order.recorded else (),
            voice=None if order.recorded else voice,
            earpiece=earpiece,
            max_duration_s=_LONGEST_S,
        )
