"""The TwiML the edge answers with, written by Twilio's own package."""

from typing import Any

from twilio.twiml.voice_response import Connect, Stream, VoiceResponse

__all__ = ["connect_stream", "hang_up", "reject", "say_and_hang_up"]


def connect_stream(stream_url: str, action_url: str) -> str:
    """Return TwiML that streams the call, and comes back to *action_url* after."""
    connect: Any = Connect(action=action_url, method="POST")
    connect.append(Stream(url=stream_url))
    response: Any = VoiceResponse()
    response.append(connect)
    return str(response)


def say_and_hang_up(text: str) -> str:
    """Return TwiML that speaks *text* in Twilio's own voice and ends the call."""
    response: Any = VoiceResponse()
    response.say(text)
    response.hangup()
    return str(response)


def hang_up() -> str:
    """Return TwiML that ends the call."""
    response: Any = VoiceResponse()
    response.hangup()
    return str(response)


def reject() -> str:
    """Return TwiML that refuses a call before it is answered (and paid for)."""
    response: Any = VoiceResponse()
    response.reject()
    return str(response)
