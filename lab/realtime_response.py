"""One scripted response: what it consists of and how far it has come."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from lab.realtime_config import SessionConfig, check_output_format
from lab.realtime_conversation import StoredItem
from lab.realtime_events import Json
from lab.realtime_output import TOKENS_PER_STEP, Output, Place, SpokenMessage
from lab.realtime_schema import ResponseParams
from lab.realtime_tools import check_tools

__all__ = ["COMPLETED", "Outcome", "Request", "ScriptedResponse", "Status"]

Status = Literal["completed", "cancelled", "failed", "incomplete"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a response ended; *reason* and *error* as in ``status_details``."""

    status: Status
    reason: str | None = None
    error: Json | None = None

    def details(self) -> Json | None:
        """Return the ``status_details`` of the response."""
        if self.status == "completed":
            return None
        return {"type": self.status, "reason": self.reason, "error": self.error}


COMPLETED = Outcome("completed")


@dataclass(frozen=True, slots=True)
class Request:
    """What a response is to be: its own wishes before those of the session.

    Attributes:
        conversation_id: Where it is written down, None for nowhere.
        instructions: What the model is told.
        own_instructions: That part of it which is for this response only.
        may_call: The functions that may be called.
        parallel: Whether more than one may.
        spoken: Whether it is audio, not text.
        output: The audio output: format and voice.
        max_tokens: Most output tokens, None for any number.
        metadata: What the client wants to get back.
    """

    conversation_id: str | None
    instructions: str
    own_instructions: str
    may_call: frozenset[str]
    parallel: bool
    spoken: bool
    output: Json
    max_tokens: int | None
    metadata: Json | None

    @classmethod
    def read(
        cls, params: ResponseParams, config: SessionConfig, conversation_id: str
    ) -> "Request":
        """Return what *params* come to in a session.

        Raises:
            RefusedEventError: If they ask for what cannot be.
        """
        wish: Json = msgspec.to_builtins(params)
        output: Json = wish.get("audio", {}).get("output", {})
        check_output_format(output, "response.audio.output.format")
        merged = {**config.wire, **wish}
        if wish.keys() & {"tools", "tool_choice"}:
            check_tools(merged["tools"], merged["tool_choice"], "response")
        limit: int | Literal["inf"] = merged["max_output_tokens"]
        return cls(
            conversation_id=None if params.conversation == "none" else conversation_id,
            instructions=merged["instructions"],
            own_instructions=wish.get("instructions", ""),
            may_call=_may_call(merged["tools"], merged["tool_choice"]),
            parallel=merged["parallel_tool_calls"],
            spoken=merged["output_modalities"] == ["audio"],
            output={**config.output, **output},
            max_tokens=None if limit == "inf" else limit,
            metadata=wish.get("metadata"),
        )

    def wire(self) -> Json:
        """Return what the ``response`` object repeats of it."""
        voice: Any = self.output["voice"]
        return {
            "conversation_id": self.conversation_id,
            "output_modalities": ["audio" if self.spoken else "text"],
            "max_output_tokens": self.max_tokens or "inf",
            "audio": {
                "output": {
                    "format": self.output["format"],
                    "voice": voice["id"] if isinstance(voice, dict) else voice,
                }
            },
            "metadata": self.metadata,
        }


class ScriptedResponse:
    """A response being given; the session decides when each part is sent."""

    def __init__(self, response_id: str, request: Request) -> None:
        self.response_id = response_id
        self.request = request
        self.outcome: Outcome | None = None
        self._outputs: Sequence[Output] = ()
        self._steps_left = 0
        self._steps = 0

    @property
    def in_conversation(self) -> bool:
        """Whether it writes to the default conversation."""
        return self.request.conversation_id is not None

    @property
    def current(self) -> Output | None:
        """What is being produced, None when everything is."""
        return next((output for output in self._outputs if not output.closed), None)

    @property
    def message(self) -> SpokenMessage | None:
        """What is said, if anything is."""
        spoken = (o for o in self._outputs if isinstance(o, SpokenMessage))
        return next(spoken, None)

    @property
    def half_given(self) -> bool:
        """Whether half of it was given."""
        return self._steps_left * 2 <= self._steps

    @property
    def finished(self) -> bool:
        """Whether nothing is left to give, or no token to give it with."""
        return self._steps_left == 0

    @property
    def exhausts_tokens(self) -> bool:
        """Whether it would have gone on with more tokens."""
        return any(not output.finished for output in self._outputs)

    def place(self, output_index: int) -> Place:
        """Return where an output of this response belongs."""
        return Place(
            self.response_id,
            output_index,
            self.in_conversation,
            self.request.output["format"]["type"] if self.request.spoken else None,
        )

    def begin(self, outputs: Sequence[Output]) -> None:
        """Set what it consists of; tokens may not suffice for all of it."""
        self._outputs = outputs
        self._steps = sum(output.steps for output in outputs)
        if (limit := self.request.max_tokens) is not None:
            self._steps = min(self._steps, max(1, limit // TOKENS_PER_STEP))
        self._steps_left = self._steps

    def step(self, output: Output) -> tuple[bytes, list[Json]]:
        """Return the next audio (wire format) of the *output* and its events."""
        self._steps_left -= 1
        return output.step()

    def items(self) -> list[StoredItem]:
        """Return what it has produced so far."""
        return [output.item for output in self._outputs if output.opened]

    def wire(self, usage: Json | None = None) -> Json:
        """Return the ``response`` object as it is now."""
        outcome = self.outcome
        output = [dict(item.wire) for item in self.items()] if outcome else []
        return {
            "id": self.response_id,
            "object": "realtime.response",
            "status": outcome.status if outcome else "in_progress",
            "status_details": outcome.details() if outcome else None,
            "output": output,
            "usage": usage,
            **self.request.wire(),
        }


def _may_call(tools: list[Json], choice: str | Json) -> frozenset[str]:
    if isinstance(choice, dict):
        return frozenset({choice["name"]})
    if choice == "none":
        return frozenset()
    return frozenset(tool["name"] for tool in tools)
