"""The built-in tools: what a call of one asks for, or why it cannot be."""

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

from backhaul.core.messages import CloseReason, SendDigits, Transfer, TransferKind
from backhaul.core.profile import Profile
from backhaul.core.tools import BUILT_IN_TOOLS, TransferTarget, is_e164, transfer_kind
from region_agent.core.tool_declarations import HANG_UP, TRANSFER

__all__ = ["BuiltIn", "HangUp", "NotPossible", "Sending", "Transferring", "built_in"]

_MAX_SUMMARY_CHARS = 500


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the call."""

    reason: CloseReason = CloseReason.MODEL_HUNG_UP


@dataclass(frozen=True, slots=True)
class Transferring:
    """Connect the caller to somebody else."""

    destination: str
    message: Transfer = field(repr=False)
    summary: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sending:
    """Press keys."""

    message: SendDigits = field(repr=False)


@dataclass(frozen=True, slots=True)
class NotPossible:
    """The call of the tool makes no sense; the model is told *why*."""

    why: str


BuiltIn: TypeAlias = HangUp | Transferring | Sending | NotPossible


class _TransferArguments(msgspec.Struct):
    destination: str = ""
    number: str = ""
    summary: str = ""


class _DigitsArguments(msgspec.Struct):
    digits: str


def built_in(name: str, arguments: str, profile: Profile) -> BuiltIn | None:
    """Return what the call of a built-in tool asks for; None for other tools."""
    if name not in BUILT_IN_TOOLS:
        return None
    if name == HANG_UP:
        return HangUp() if profile.may_hang_up else _absent(name)
    if name == TRANSFER:
        return _transfer(arguments, profile)
    return _send_digits(arguments) if profile.may_send_dtmf else _absent(name)


def _absent(name: str) -> NotPossible:
    return NotPossible(f"there is no tool {name} in this call")


def _decode(arguments: str, wanted: type[Any]) -> Any:  # noqa: ANN401 - any struct
    try:
        return msgspec.json.decode(arguments.encode() or b"{}", type=wanted)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return NotPossible("the arguments do not fit the tool's parameters")


def _transfer(arguments: str, profile: Profile) -> BuiltIn:
    if not profile.transfers and not profile.may_dial_any_number:
        return _absent(TRANSFER)
    given = _decode(arguments, _TransferArguments)
    if not isinstance(given, _TransferArguments):
        return NotPossible("the arguments do not fit the tool's parameters")
    target = profile.transfers.get(given.destination)
    destination = given.destination
    if target is None and given.number and profile.may_dial_any_number:
        number = "".join(char for char in given.number if char not in " ()-.")
        if not is_e164(number):
            return NotPossible("the number is not of the form +14155550100")
        target, destination = TransferTarget(to=number), "number"
    if target is None:
        return NotPossible("nobody is known by that name; choose a known destination")
    summary = given.summary.strip()[:_MAX_SUMMARY_CHARS]
    kind = transfer_kind(target.to)
    assert kind is not None  # noqa: S101 - checked when the settings were read
    message = Transfer(
        kind=kind,
        target=target.to.removeprefix("queue:")
        if kind is TransferKind.QUEUE
        else target.to,
        whisper=summary if target.whisper else "",
        timeout_s=target.timeout_s,
    )
    return Transferring(destination, message, summary)


def _send_digits(arguments: str) -> BuiltIn:
    given = _decode(arguments, _DigitsArguments)
    digits = given.digits if isinstance(given, _DigitsArguments) else ""
    if not 0 < len(digits) <= 32 or set(digits) - set("0123456789*#w"):  # noqa: PLR2004
        return NotPossible("digits must be 1 to 32 of 0-9, *, # and w")
    return Sending(SendDigits(digits))
