"""What the model is told about the tools of a profile, its own and built-in ones."""

from typing import Any, Final

from backhaul.core.profile import Profile

__all__ = ["HANG_UP", "SEND_DTMF", "TRANSFER", "declared_tools"]

HANG_UP: Final = "hang_up"
SEND_DTMF: Final = "send_dtmf"
TRANSFER: Final = "transfer"

_NO_ARGUMENTS: Final[dict[str, Any]] = {"type": "object", "properties": {}}


def declared_tools(profile: Profile) -> list[dict[str, Any]]:
    """Return the ``tools`` of a session of *profile*."""
    declared = [
        _function(tool.name, tool.description, tool.parameters or _NO_ARGUMENTS)
        for tool in profile.tools
    ]
    if profile.may_hang_up:
        declared.append(_function(HANG_UP, _HANG_UP_MANUAL, _NO_ARGUMENTS))
    if profile.transfers or profile.may_dial_any_number:
        declared.append(_transfer(profile))
    if profile.may_send_dtmf:
        declared.append(_function(SEND_DTMF, _SEND_DTMF_MANUAL, _DIGITS))
    return declared


def _function(
    name: str, description: str, parameters: dict[str, Any]
) -> dict[str, Any]:
    return {
        "type": "function",
        "name": name,
        "description": description,
        "parameters": parameters,
    }


_HANG_UP_MANUAL: Final = (
    "End the telephone call. Say goodbye in the same response, before you call this: "
    "the call ends as soon as the caller has heard it."
)
_SEND_DTMF_MANUAL: Final = (
    "Press keys of the telephone, for example to answer an automatic menu."
)
_DIGITS: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "digits": {
            "type": "string",
            "pattern": "^[0-9*#w]{1,32}$",
            "description": "The keys in order; w waits for half a second.",
        }
    },
    "required": ["digits"],
}


def _transfer(profile: Profile) -> dict[str, Any]:
    known = [
        f"{name}: {target.description}" if target.description else name
        for name, target in profile.transfers.items()
    ]
    properties: dict[str, Any] = {
        "summary": {
            "type": "string",
            "description": "What the colleague should know before they talk: who "
            "calls, and what about. At most two sentences.",
        }
    }
    if known:
        properties["destination"] = {
            "type": "string",
            "enum": list(profile.transfers),
            "description": "Whom to connect the caller to. " + "; ".join(known),
        }
    if profile.may_dial_any_number:
        properties["number"] = {
            "type": "string",
            "description": "A telephone number such as +14155550100"
            + (", when no destination fits." if known else "."),
        }
    manual = (
        "Connect the caller to somebody else. Tell the caller in the same response, "
        "before you call this: the call is handed over as soon as they have heard it."
    )
    parameters: dict[str, Any] = {"type": "object", "properties": properties}
    if known and not profile.may_dial_any_number:
        parameters["required"] = ["destination"]
    return _function(TRANSFER, manual, parameters)
