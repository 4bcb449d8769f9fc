"""The stand-in's model: decides what each response of a session consists of."""

from collections.abc import Sequence
from dataclasses import dataclass

from lab.model_script import ModelCall, ModelTurn, ScriptRun
from lab.realtime_conversation import Conversation
from lab.realtime_events import Json
from lab.realtime_mind import Mind
from lab.realtime_output import CalledFunction, Output, SpokenMessage
from lab.realtime_response import COMPLETED, Outcome, Request, ScriptedResponse
from lab.realtime_timeline import Ids
from lab.speech_files import SpeechLine

__all__ = ["NOTE", "SERVER_ERROR", "Model", "Plan"]

NOTE = "note"
"""The function by which a model that recalls notes down the number of a turn."""

SERVER_ERROR: Json = {
    "type": "server_error",
    "code": "server_error",
    "message": "The server had an error while processing your request.",
}
_OUTCOMES = {
    "completed": COMPLETED,
    "failed": Outcome("failed", error=SERVER_ERROR),
    "incomplete": Outcome("incomplete", "content_filter"),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What one response says and calls, and how it ends after that."""

    lines: Sequence[SpeechLine]
    calls: Sequence[ModelCall] = ()
    outcome: Outcome = COMPLETED


class Model:
    """What the model says: what it is told to word for word, its script, or a reply.

    Args:
        lines: All that can be said; ordinary replies are those named ``reply-``.
        ids: Makes the identifiers.
        recalled: The conversation that ordinary replies follow from; None: they come
            one after the other, whatever was said.
        mind: Thinks of ordinary replies; None: they are prepared.
    """

    def __init__(
        self,
        lines: Sequence[SpeechLine],
        ids: Ids,
        recalled: Conversation | None = None,
        mind: Mind | None = None,
    ) -> None:
        self._ids = ids
        self._recalled = recalled
        self._mind = mind
        self._replies = [line for line in lines if line.name.startswith("reply-")]
        self._known = sorted(lines, key=lambda line: -len(line.text))
        self._replied = 0
        self._run: ScriptRun | None = None

    def follow(self, run: ScriptRun) -> None:
        """Take the turns of *run* from now on."""
        self._run = run

    def first_audio_s(self, request: Request) -> float | None:
        """Return how long (s) the script lets a response wait, None: as usual."""
        turn = self._run.peek() if self._run and self._is_scripted(request) else None
        return turn.first_audio_s if turn else None

    def plan(self, response: ScriptedResponse) -> Plan | None:
        """Return what a *response* that begins consists of; None: ask again soon."""
        request = response.request
        if word_for_word := self._asked_for(request):
            return Plan([word_for_word])
        if self._run is not None and self._is_scripted(request):
            turn = self._run.take(response.response_id)
            if turn is not None:
                return self._follow(turn, self._run, request)
        if self._recalled is not None and request.conversation_id is not None:
            return self._recall(self._recalled, request)
        if self._mind is not None and request.conversation_id is not None:
            line = self._mind.reply()
            return None if line is None else Plan([line])
        self._replied += 1
        return Plan([self._reply(self._replied)])

    def outputs(self, plan: Plan, response: ScriptedResponse) -> list[Output]:
        """Return the output items of *plan*."""
        outputs: list[Output] = []
        if plan.lines:
            item_id = self._ids.make("item")
            outputs.append(SpokenMessage(response.place(0), item_id, plan.lines))
        for call in plan.calls:
            place = response.place(len(outputs))
            item_id, call_id = self._ids.make("item"), self._ids.make("call")
            outputs.append(
                CalledFunction(place, item_id, call_id, call.name, call.text())
            )
        return outputs

    def _reply(self, number: int) -> SpeechLine:
        return self._replies[(number - 1) % len(self._replies)]

    def _recall(self, conversation: Conversation, request: Request) -> Plan:
        """Reply to the caller's latest turn, by its number; note it down first.

        Only who knows all that the caller has said can tell the number, and only who
        knows all that was noted does not note it twice.
        """
        items = [item.wire for item in conversation.items]
        turn = max(sum(item.get("role") == "user" for item in items), 1)
        call = ModelCall(NOTE, {"turn": turn})
        noted = any(
            item["type"] == "function_call" and item["arguments"] == call.text()
            for item in items
        )
        if NOTE in request.may_call and not noted:
            return Plan([], [call])
        return Plan([self._reply(turn)])

    def _asked_for(self, request: Request) -> SpeechLine | None:
        told = request.own_instructions
        return next((line for line in self._known if line.text in told), None)

    def _is_scripted(self, request: Request) -> bool:
        in_conversation = request.conversation_id is not None
        return in_conversation and self._asked_for(request) is None

    def _follow(self, turn: ModelTurn, run: ScriptRun, request: Request) -> Plan:
        if turn.expect_instructions not in request.instructions:
            run.fail(f"the instructions lack {turn.expect_instructions!r}")
        calls = list(turn.calls)
        if not turn.unknown_ok:
            calls = _allowed(calls, run, request)
        return Plan(turn.lines(), calls, _OUTCOMES[turn.status])


def _allowed(
    calls: Sequence[ModelCall], run: ScriptRun, request: Request
) -> list[ModelCall]:
    """Return the calls that a real model could make; the others are failures."""
    allowed: list[ModelCall] = []
    for call in calls:
        if call.name not in request.may_call:
            run.fail(f"the session has no function {call.name!r} to call")
        elif allowed and not request.parallel:
            run.fail(f"{call.name!r} would be a parallel call, which are turned off")
        else:
            allowed.append(call)
    return allowed
