"""Serves callers who are away from the model: transfers and touch tones."""

from typing import assert_never

from edge import twiml
from edge.call import Call
from edge.calls import Calls
from edge.carrier_form import Action, Addresses, CarrierForm
from edge.core.call_events import CallState, HandedOver, Recalled
from edge.core.errand import Errand, ErrandKind
from edge.metrics import EdgeMetrics

__all__ = ["Errands"]

_FAILURES = frozenset({"busy", "no-answer", "failed", "canceled"})


class Errands:
    """Answers what the carrier asks about calls that are away."""

    def __init__(
        self, addresses: Addresses, *, calls: Calls, metrics: EdgeMetrics
    ) -> None:
        self._addresses = addresses
        self._calls = calls
        self._metrics = metrics

    def answer(self, call: Call, action: Action, form: CarrierForm) -> str | None:
        """Return how the call goes on; None: with a new stream and session, if any."""
        errand = call.errand.present
        if errand is None:
            return None
        away = call.state is CallState.AWAY
        if action is Action.RESUME and away:
            return self._begin(call, errand)
        if action is Action.REFERRED and form.result == "completed":
            call.feed(HandedOver())
            return twiml.hang_up()
        outcome = form.result if form.result in _FAILURES else "failed"
        call.errand.settle(outcome)
        if not away:
            return None
        return self._bring_back(call, action, outcome=outcome)

    def whisper(self, form: CarrierForm) -> str:
        """Return what to tell who answered; from now on they talk to the caller."""
        whisper = self._calls.whisper(form.whisper_token)
        if whisper is None or form.finished:
            return twiml.hang_up()
        if whisper.call.errand.present is whisper.errand:
            whisper.answered = True
            whisper.call.feed(HandedOver())
        if not whisper.answered:
            return twiml.hang_up()  # they answered too late, the caller is back
        return twiml.say(whisper.errand.whisper)

    def _begin(self, call: Call, errand: Errand) -> str:
        number = call.machine.streams
        match errand.kind:
            case ErrandKind.DIGITS:
                self._metrics.digits.labels(outcome="sent").inc(len(errand.target))
                call.errand.settle(errand.success)
                return self._bring_back(
                    call, Action.RESUME, outcome=errand.success, tones=errand
                )
            case ErrandKind.DIAL_NUMBER | ErrandKind.DIAL_SIP:
                text = twiml.dial(
                    errand,
                    shown_number=call.caller.shown_number,
                    action_url=self._addresses.action(Action.DIALED, number),
                    whisper_url=self._addresses.whisper(
                        self._calls.expect_whisper(call, errand)
                    ),
                )
            case ErrandKind.REFER:
                action_url = self._addresses.action(Action.REFERRED, number)
                text = twiml.refer(errand, action_url=action_url)
            case ErrandKind.QUEUE:
                action_url = self._addresses.action(Action.QUEUED, number)
                text = twiml.enqueue(errand, action_url=action_url)
            case _:
                assert_never(errand.kind)
        call.note_answer(Action.RESUME, number, text)
        if errand.kind is ErrandKind.QUEUE:
            call.feed(HandedOver())
        return text

    def _bring_back(
        self, call: Call, action: Action, *, outcome: str, tones: Errand | None = None
    ) -> str:
        """Stream the caller again, on the channel there is."""
        number, token = call.machine.streams, self._calls.siblings.new_token()
        text = twiml.connect_stream(
            self._addresses.stream(token),
            self._addresses.action(Action.RESUME, number + 1),
            digits=tones.target if tones else "",
            traceparent=call.session.trace.traceparent,
        )
        self._calls.renew(call, token=token, twiml=text)
        call.note_answer(action, number, text)
        call.feed(Recalled(outcome, takes_s=tones.plays_s if tones else 0.0))
        return text
