"""The TwiML the edge answers with, written by Twilio's own package."""

from typing import Any

from twilio.twiml.voice_response import (
    Connect,
    Dial,
    Enqueue,
    Refer,
    Stream,
    VoiceResponse,
)

from backhaul.core.messages import TransferKind
from backhaul.core.tools import transfer_kind
from edge.core.errand import Errand, ErrandKind

__all__ = [
    "connect_stream",
    "dial",
    "enqueue",
    "hang_up",
    "last_resort",
    "redirect",
    "refer",
    "reject",
    "say",
    "say_and_hang_up",
]


def connect_stream(
    stream_url: str, action_url: str, *, digits: str = "", traceparent: str = ""
) -> str:
    """Return TwiML that streams the call, and comes back to *action_url* after.

    Args:
        stream_url: Where the Media Stream goes.
        action_url: What Twilio requests after it.
        digits: Touch tones that the caller's side hears first.
        traceparent: What the carrier brings along, so that the stream finds its trace.
    """
    response: Any = VoiceResponse()
    if digits:
        response.play(digits=digits)
    connect: Any = Connect(action=action_url, method="POST")
    stream: Any = Stream(url=stream_url)
    if traceparent:
        stream.parameter(name="traceparent", value=traceparent)
    connect.append(stream)
    response.append(connect)
    return str(response)


def dial(
    errand: Errand, *, shown_number: str | None, action_url: str, whisper_url: str
) -> str:
    """Return TwiML that rings somebody else.

    Args:
        errand: Whom, and for how long.
        shown_number: Who seems to call; None: the caller.
        action_url: What Twilio requests after it.
        whisper_url: What who answers is told before they are connected.
    """
    verb: Any = Dial(
        action=action_url,
        method="POST",
        timeout=errand.rings_s,
        caller_id=shown_number,
    )
    add = verb.sip if errand.kind is ErrandKind.DIAL_SIP else verb.number
    add(errand.target, url=whisper_url, method="POST")
    return _only(verb)


def enqueue(errand: Errand, *, action_url: str) -> str:
    """Return TwiML that lets the caller wait in a queue for who serves it."""
    return _only(Enqueue(errand.target, action=action_url, method="POST"))


def refer(errand: Errand, *, action_url: str) -> str:
    """Return TwiML that tells the caller's SIP side to call somebody else."""
    verb: Any = Refer(action=action_url, method="POST")
    verb.sip(errand.target)
    return _only(verb)


def say(text: str) -> str:
    """Return TwiML that speaks *text* in Twilio's own voice; nothing if it is empty."""
    response: Any = VoiceResponse()
    if text:
        response.say(text)
    return str(response)


def say_and_hang_up(text: str) -> str:
    """Return TwiML that speaks *text* in Twilio's own voice and ends the call."""
    response: Any = VoiceResponse()
    response.say(text)
    response.hangup()
    return str(response)


def last_resort(
    text: str,
    *,
    target: str,
    rings_s: int,
    shown_number: str | None,
    action_url: str,
) -> str:
    """Return TwiML for a call without a session: some words, then perhaps a human.

    Args:
        text: Said in Twilio's own voice; empty: nothing.
        target: Who is rung, E.164 or ``sip:`` URI; empty: nobody.
        rings_s: For how long (s).
        shown_number: Who seems to call; None: the caller.
        action_url: What Twilio requests when that is over.
    """
    response: Any = VoiceResponse()
    if text:
        response.say(text)
    if not target:
        response.hangup()
        return str(response)
    verb: Any = Dial(
        action=action_url, method="POST", timeout=rings_s, caller_id=shown_number
    )
    is_sip = transfer_kind(target) is TransferKind.SIP
    (verb.sip if is_sip else verb.number)(target)
    response.append(verb)
    return str(response)


def hang_up() -> str:
    """Return TwiML that ends the call."""
    response: Any = VoiceResponse()
    response.hangup()
    return str(response)


def redirect(url: str) -> str:
    """Return TwiML that sends Twilio to *url* for what follows."""
    response: Any = VoiceResponse()
    response.redirect(url, method="POST")
    return str(response)


def reject() -> str:
    """Return TwiML that refuses a call before it is answered (and paid for)."""
    response: Any = VoiceResponse()
    response.reject()
    return str(response)


def _only(verb: object) -> str:
    response: Any = VoiceResponse()
    response.append(verb)
    return str(response)
