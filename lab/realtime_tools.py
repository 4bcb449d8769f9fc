"""The functions a Realtime client declares and the model calls: checks and evidence."""

from dataclasses import dataclass, field

from lab.realtime_events import Json, RefusedEventError

__all__ = ["CallLog", "CallRecord", "check_tools"]


def check_tools(tools: list[Json], choice: str | Json, param: str) -> None:
    """Refuse declarations that the API refuses; *param* names their parent.

    Raises:
        RefusedEventError: If a function's parameters are no object schema, two have
            one name, or the choice is none of them.
    """
    names: list[str] = [tool["name"] for tool in tools]
    for index, tool in enumerate(tools):
        where = f"{param}.tools[{index}]"
        kind = tool.get("parameters", {"type": "object"}).get("type")
        if kind != "object":
            raise RefusedEventError(
                "invalid_function_parameters",
                f"Invalid schema for function '{tool['name']}': schema must be a JSON "
                f"Schema of 'type: \"object\"', got 'type: \"{kind}\"'.",
                param=f"{where}.parameters",
            )
        if tool["name"] in names[:index]:
            raise RefusedEventError(
                "invalid_value",
                f"Tool names must be unique: '{tool['name']}' is not.",
                param=f"{where}.name",
            )
    if isinstance(choice, dict) and choice["name"] not in names:
        raise RefusedEventError(
            "invalid_value",
            f"Tool choice '{choice['name']}' not found in 'tools' parameter.",
            param=f"{param}.tool_choice",
        )


@dataclass(frozen=True, slots=True)
class _Answer:
    item_id: str
    output: str
    at: float


@dataclass(slots=True)
class CallRecord:
    """One function call and what the client answered; times are monotonic seconds.

    Attributes:
        item: The item as the protocol shows it; it changes while the call is made.
        response_id: Who made it, None for a call that the client put there.
        made_at: When its arguments were complete (or cut off), None before.
        answers: Every output; more than one is the client's fault.
    """

    item: Json
    response_id: str | None
    made_at: float | None = None
    answers: list[_Answer] = field(default_factory=list[_Answer])

    @property
    def call_id(self) -> str:
        """What an answer must refer to."""
        return str(self.item["call_id"])

    @property
    def missing(self) -> bool:
        """Whether the model waits for an answer."""
        made = self.response_id is not None and self.made_at is not None
        return made and self.item["status"] == "completed" and not self.answers

    def wire(self) -> Json:
        """Return what there is to say about it, for the control endpoint."""
        return {
            "call_id": self.call_id,
            "item_id": self.item["id"],
            "response_id": self.response_id,
            "name": self.item["name"],
            "arguments": self.item["arguments"],
            "status": self.item["status"],
            "made_at": self.made_at,
            "duplicates": max(0, len(self.answers) - 1),
            "outputs": [
                {"item_id": a.item_id, "output": a.output, "at": a.at}
                for a in self.answers
            ],
        }


class CallLog:
    """The function calls of a session, in order."""

    def __init__(self) -> None:
        self._calls: dict[str, CallRecord] = {}

    def open(self, item: Json, response_id: str | None) -> CallRecord:
        """Begin the record of a call."""
        call = CallRecord(item, response_id)
        self._calls[call.call_id] = call
        return call

    def made(self, call_id: str, *, now: float) -> None:
        """Note that the arguments of a call were all sent, or cut off."""
        self._calls[call_id].made_at = now

    def answer(self, item: Json, *, now: float) -> None:
        """Note the ``function_call_output`` *item*."""
        call = self._calls[item["call_id"]]
        call.answers.append(_Answer(item["id"], item["output"], now))

    def all(self) -> list[CallRecord]:
        """Return every call, oldest first."""
        return list(self._calls.values())

    def missing(self) -> list[str]:
        """Return the ids of the calls that the model has no answer to yet."""
        return [call.call_id for call in self._calls.values() if call.missing]
