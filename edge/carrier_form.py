"""What the carrier's requests say, and where they are told to go next."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from edge.media_streams import MEDIA_PATH
from edge.site import EdgeSite

__all__ = [
    "Action",
    "Addresses",
    "BadFormError",
    "CarrierForm",
    "read_form",
    "sip_user",
]

_CALL_SID = re.compile(r"CA[0-9a-f]{32}", re.ASCII)
_ACCOUNT_SID = re.compile(r"AC[0-9a-f]{32}", re.ASCII)
_FINISHED = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
_RESULTS = ("DialCallStatus", "ReferCallStatus", "QueueResult")


class Action(StrEnum):
    """What the carrier finished when it asks how to go on."""

    RESUME = "resume"
    """A Media Stream."""
    DIALED = "dialed"
    REFERRED = "referred"
    QUEUED = "queued"
    FALLBACK = "fallback"
    """A human was rung, as no session could be had."""


class BadFormError(Exception):
    """The request is signed but its parameters cannot be used."""


@dataclass(frozen=True, slots=True)
class CarrierForm:
    """The parameters of a request that the edge reads."""

    call_sid: str
    caller: str = field(repr=False)
    called: str = field(repr=False)
    over_sip: bool
    source_ip: str = field(repr=False)
    """Where a SIP call came from, often a telephone system; else nothing."""
    caller_country: str
    """ISO 3166-1, of the caller's number, as far as the carrier knows."""
    caller_state: str
    finished: bool
    """Whether the call is over."""
    in_progress: bool
    """Whether somebody has answered the call before."""
    result: str
    """What came of a <Dial>, <Refer> or <Enqueue>."""
    stream_number: int
    """Which of the call's streams an action belongs to."""
    whisper_token: str = field(repr=False)
    failed: bool
    """Whether it asks what to do after a request or its answer failed."""


def read_form(values: Mapping[str, str], path: Mapping[str, str]) -> CarrierForm:
    """Return what a request says.

    Args:
        values: Its parameters.
        path: What its path holds.

    Raises:
        BadFormError: If it does not say whose call it is about.
    """
    call_sid, account_sid = values.get("CallSid", ""), values.get("AccountSid", "")
    if not (_CALL_SID.fullmatch(call_sid) and _ACCOUNT_SID.fullmatch(account_sid)):
        raise BadFormError
    return CarrierForm(
        call_sid=call_sid,
        caller=values.get("From", ""),
        called=values.get("To", ""),
        over_sip="SipCallId" in values or "SipDomain" in values,
        source_ip=values.get("SipSourceIp", ""),
        caller_country=values.get("FromCountry", ""),
        caller_state=values.get("FromState", ""),
        finished=values.get("CallStatus", "") in _FINISHED,
        in_progress=values.get("CallStatus", "") == "in-progress",
        result=next((values[name] for name in _RESULTS if name in values), ""),
        stream_number=int(path.get("number", "0")),
        whisper_token=path.get("token", ""),
        failed="ErrorCode" in values,
    )


def sip_user(uri: str) -> str:
    """Return who is called in a SIP URI, such as its telephone number; else nothing."""
    scheme, _, rest = uri.partition(":")
    return rest.partition("@")[0] if scheme in {"sip", "sips"} else ""


class Addresses:
    """The URLs that TwiML names."""

    def __init__(self, site: EdgeSite) -> None:
        """Name the URLs of the edge at *site*."""
        self._public = f"{site.public_base_url}/twilio"
        self._media = f"{site.media_base_url}{MEDIA_PATH}"

    def stream(self, token: str) -> str:
        """Return where the Media Stream goes that *token* admits."""
        return f"{self._media}{token}"

    def action(self, action: Action, number: int) -> str:
        """Return where the carrier asks how to go on."""
        return f"{self._public}/{action.value}/{number}"

    def whisper(self, token: str) -> str:
        """Return where the carrier asks what to tell who answers."""
        return f"{self._public}/whisper/{token}"
