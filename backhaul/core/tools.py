"""What a voice may do besides talking: functions, transfers, built-in tools."""

import re
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from backhaul.core.messages import TransferKind

__all__ = [
    "BUILT_IN_TOOLS",
    "Tool",
    "TransferTarget",
    "is_e164",
    "transfer_kind",
    "url_problem",
]

BUILT_IN_TOOLS: Final = frozenset({"hang_up", "transfer", "send_dtmf"})
"""Names that a profile's own functions cannot have."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_SIP_URI = re.compile(r"sips?:[^\s@<>]{1,64}@[^\s@<>]{1,255}", re.ASCII)
_QUEUE = re.compile(r"queue:[A-Za-z0-9_. -]{1,64}", re.ASCII)


def is_e164(number: str) -> bool:
    """Tell whether *number* is a telephone number such as +14155550100."""
    return _E164.fullmatch(number) is not None


def transfer_kind(target: str) -> TransferKind | None:
    """Return what *target* is: E.164, ``sip:`` URI, ``queue:NAME``; None if neither."""
    if is_e164(target):
        return TransferKind.NUMBER
    if _SIP_URI.fullmatch(target):
        return TransferKind.SIP
    if _QUEUE.fullmatch(target):
        return TransferKind.QUEUE
    return None


def url_problem(url: str) -> str | None:
    """Return what is wrong with *url* as an endpoint, None if nothing is.

    Plain HTTP is for this host only.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "not a URL"
    if parts.scheme not in {"https", "http"} or not host or port == 0:
        return "not an https:// URL"
    if parts.scheme == "http" and host not in {"127.0.0.1", "localhost", "::1"}:
        return "must be https:// for any host but this one"
    if parts.username is not None or parts.fragment:
        return "must not have a user or a fragment"
    return None


class Tool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A function that the model may call, served by an HTTPS endpoint."""

    name: str
    """As the model calls it: letters, digits, _ and -."""
    description: str
    """When and how the model should call it."""
    url: str
    """Gets ``POST {"name", "arguments", "call"}`` with an ``Idempotency-Key``;
    answers 2xx with JSON or text, which the model gets as it is."""
    parameters: dict[str, Any] = {}
    """JSON schema of the arguments; arguments that do not fit are never sent. Empty:
    the function takes none."""
    headers: dict[str, str] = {}
    """Further headers. ``${NAME}`` stands for an environment variable of the agent;
    secrets belong there, never into this file."""
    timeout_s: Annotated[float, Meta(gt=0, le=120)] = 10.0
    """For one attempt (s); there are two. Too low fails slow but good calls; too high
    leaves the caller waiting."""
    max_result_bytes: Annotated[int, Meta(ge=256, le=1024 * 1024)] = 32 * 1024
    """Largest answer (bytes); the model is told when one was larger."""
    filler: str = ""
    """Said to the caller when the answer takes longer than `filler_after_ms`."""
    filler_after_ms: Annotated[int, Meta(ge=0)] = 1000
    """When `filler` is said (ms after the call)."""
    allow_private: bool = False
    """Allow an endpoint on a private, loopback or link-local address."""
    warm_connections: Annotated[int, Meta(ge=1, le=16)] = 1
    """Connections each agent keeps open to the endpoint."""

    def problems(self) -> tuple[str, ...]:
        """Return one line per value that cannot be used."""
        found: list[str] = []
        if not _NAME.fullmatch(self.name):
            found.append("name: letters, digits, _ and - only, at most 64")
        if self.name in BUILT_IN_TOOLS:
            found.append(f"name: {self.name} is a built-in tool")
        if wrong := url_problem(self.url):
            found.append(f"url: {wrong}")
        if self.parameters and self.parameters.get("type") != "object":
            found.append('parameters: must be a JSON schema with type = "object"')
        return tuple(found)


class TransferTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody whom the model may connect the caller to."""

    to: str
    """E.164 number, ``sip:`` URI, or ``queue:NAME``."""
    description: str = ""
    """When the model should choose it."""
    timeout_s: Annotated[int, Meta(ge=5, le=600)] = 30
    """How long it rings (s); then the caller comes back to the model."""
    whisper: bool = True
    """Say the model's summary to who answers before the caller is connected."""

    def problems(self) -> tuple[str, ...]:
        """Return one line per value that cannot be used."""
        if transfer_kind(self.to) is None:
            return ("to: neither +<number>, nor sip:user@host, nor queue:NAME",)
        return ()
