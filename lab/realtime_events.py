"""Reads client events, refusing them as the Realtime API does, and words its errors."""

import re
from typing import Any

import msgspec

from lab.realtime_schema import ClientEvent

__all__ = ["Json", "RefusedEventError", "parse_client_event"]

Json = dict[str, Any]

_DECODER: msgspec.json.Decoder[ClientEvent] = msgspec.json.Decoder(ClientEvent)

_PATH = re.compile(r" - at `(?:key in )?\$\.?(?P<path>[^`]*)`$")
_RULES = (
    (re.compile(r"unknown field `(?P<name>[^`]*)`"), "unknown_parameter"),
    (re.compile(r"required field `(?P<name>[^`]*)`"), "missing_required_parameter"),
    (re.compile(r"^Invalid (enum )?value"), "invalid_value"),
    (re.compile(r"^Expected `int` >"), "integer_below_min_value"),
    (re.compile(r"^Expected `int` <"), "integer_above_max_value"),
    (re.compile(r"^Expected `float` >"), "decimal_below_min_value"),
    (re.compile(r"^Expected `float` <"), "decimal_above_max_value"),
    (re.compile(r"^Expected `str` of length <"), "string_above_max_length"),
    (re.compile(r"^Expected `str` of length >"), "string_below_min_length"),
    (re.compile(r"^Expected `str` matching regex"), "invalid_value"),
)  # fmt: skip
_WORDS = {
    "unknown_parameter": "Unknown parameter: '{1}'.",
    "missing_required_parameter": "Missing required parameter: '{1}'.",
}


class RefusedEventError(Exception):
    """A client event that the server answers with an ``error`` event."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        param: str | None = None,
        event_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param
        self.event_id = event_id

    def event(self, event_id: str | None = None) -> Json:
        """Return the ``error`` event, as the answer to the client's *event_id*."""
        return {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "code": self.code,
                "message": self.message,
                "param": self.param,
                "event_id": self.event_id or event_id,
            },
        }


def parse_client_event(message: str | bytes) -> ClientEvent:
    """Return the event in *message*; the protocol knows no binary messages.

    Raises:
        RefusedEventError: With the code the API uses for what is wrong.
    """
    if isinstance(message, bytes):
        raise RefusedEventError("invalid_event", "Binary messages are not supported.")
    try:
        return _DECODER.decode(message)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), _event_id(message)) from None
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise RefusedEventError(
            "invalid_json", "The event is not a valid JSON object."
        ) from None


class _Envelope(msgspec.Struct):
    event_id: Any = None


def _event_id(text: str) -> str | None:
    try:
        event_id = msgspec.json.decode(text, type=_Envelope).event_id
    except (msgspec.DecodeError, RecursionError):
        return None
    return event_id if isinstance(event_id, str) else None


def _refusal(problem: str, event_id: str | None) -> RefusedEventError:
    found = _PATH.search(problem)
    path = found["path"] if found else ""
    for pattern, code in _RULES:
        match = pattern.search(problem)
        if match is None:
            continue
        name = match.groupdict().get("name")
        param = ".".join(filter(None, (path, name)))
        template = _WORDS.get(code, "{} in '{}'.")
        message = template.format(problem.partition(" - at")[0], param or "event")
        # An event without a type is not one of the API's events at all.
        is_event = not (param == "type" and name)
        return RefusedEventError(
            code if is_event else "invalid_event",
            message,
            param=param or None,
            event_id=event_id,
        )
    return RefusedEventError(
        "invalid_type", f"{problem}.", param=path or None, event_id=event_id
    )
