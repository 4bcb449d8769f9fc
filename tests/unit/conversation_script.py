"""Lets a test of a conversation read as a script: when, what happens, what is done."""

import json
from dataclasses import dataclass
from typing import Any

from backhaul.core.messages import Clear, Handover, SendDigits, Transfer
from backhaul.core.profile import CallLength, Profile, Silence, TurnDetection
from backhaul.core.tools import Tool
from region_agent.core.conversation import Conversation
from region_agent.core.conversation_events import (
    AudioEnded,
    CallerTurnEnded,
    CallTool,
    ConversationAction,
    ConversationEvent,
    EndCall,
    FalselyStarted,
    Interrupted,
    KeysPressed,
    ResponseBegan,
    ResponseEnded,
    ResponseRetried,
    SendAudio,
    SendEvent,
    SendMessage,
    SilencePrompted,
    Spoken,
    ToolCalled,
    TranscriptGrew,
    TransferEnded,
    TransferStarted,
)

Step = tuple[float, "ConversationEvent | Voice | None", list[str]]
"""When (s), what happens (None: only that time passes), and what is done."""


@dataclass(frozen=True)
class Voice:
    """Audio of the model, so many bytes of it."""

    response_id: str
    item_id: str
    size: int


ABSENT_TRANSFER = 'output c1 {"error":"there is no tool transfer in this call"}'
LOOKUP = Tool(
    name="lookup",
    description="Looks up.",
    url="https://example.com/lookup",
    filler="One moment.",
    filler_after_ms=1000,
)
MANUAL = TurnDetection(interrupt_response=False, create_response=False)
NO_LENGTH = CallLength(max_s=0.0)


def quiet_profile(**changes: Any) -> Profile:
    """Return a profile that says nothing by itself, but for *changes*."""
    plain: dict[str, Any] = {
        "instructions": "Be kind.",
        "caller_speaks_first": True,
        "silence": Silence(after_s=0.0),
    }
    return Profile(**{**plain, **changes})


def conversation_of(profile: Profile, phrases: dict[str, int]) -> Conversation:
    """Return a conversation that begins at 0 s, with phrases of so many bytes."""

    def audio_of(text: str) -> bytes | None:
        return bytes(phrases[text]) if text in phrases else None

    return Conversation(profile, phrases=audio_of, now=0.0, call_sid="CA1")


def play(conversation: Conversation, script: list[Step]) -> None:
    """Let everything in *script* happen, and check what is done about it."""
    for now, event, expected in script:
        done = _happen(conversation, event, now)
        assert done == expected, f"at {now}: {event}"


def run(
    script: list[Step],
    profile: Profile | None = None,
    phrases: dict[str, int] | None = None,
) -> None:
    """Play *script* to a new conversation, which has a quiet profile by default."""
    play(conversation_of(profile or quiet_profile(), phrases or {}), script)


def says(now: float, response_id: str, item_id: str, size: int) -> list[Step]:
    """Return a whole response, generated at once."""
    return [
        (now, ResponseBegan(response_id), []),
        (now, Voice(response_id, item_id, size), [f"audio {size}"]),
        (now, AudioEnded(item_id), []),
        (now, ResponseEnded(response_id, "completed"), []),
    ]


def goodbye(now: float) -> list[Step]:
    """Return a second of last words, after which the model wants to hang up."""
    return [
        (now, ResponseBegan("r1"), []),
        (now, Voice("r1", "i1", 8000), ["audio 8000"]),
        (now, AudioEnded("i1"), []),
        (now, ToolCalled("c1", "hang_up", "{}"), []),
        (now, ResponseEnded("r1", "completed"), []),
    ]


def _happen(
    conversation: Conversation, event: "ConversationEvent | Voice | None", now: float
) -> list[str]:
    if event is None:
        return _in_words(conversation.expire(now=now))
    if isinstance(event, Voice):
        audio = bytes(event.size)
        goes_out = conversation.audio(event.response_id, event.item_id, audio)
        return [f"audio {event.size}"] if goes_out else []
    return _in_words(conversation.handle(event, now=now))


def _in_words(actions: tuple[ConversationAction, ...]) -> list[str]:
    # Nearly everything is worth a checkpoint; the tests of transcripts look at those.
    return [in_words(one) for one in actions if not isinstance(one, TranscriptGrew)]


# One line for each kind is as simple as it gets.


def in_words(action: ConversationAction) -> str:  # noqa: C901, PLR0911
    """Return what an action does, in a few words."""
    match action:
        case SendEvent(event):
            return _event_in_words(json.loads(event))
        case SendMessage(Clear()):
            return "clear"
        case SendMessage(Handover(reason)):
            return f"hand over: {reason}"
        case SendMessage(Transfer() as transfer):
            return f"transfer {transfer.target}"
        case SendMessage(SendDigits(digits)):
            return f"send {digits}"
        case SendAudio(audio):
            return f"audio {len(audio)}"
        case CallTool(call_id, name, arguments):
            return f"call {call_id} {name} {arguments}"
        case EndCall(reason):
            return f"end {reason}"
        case Spoken(speaker, _, text, heard_whole):
            return f"{speaker}: {text}" + ("" if heard_whole else " (cut)")
        case _:
            return _report_in_words(action)


def _report_in_words(action: ConversationAction) -> str:  # noqa: C901, PLR0911
    match action:
        case Interrupted(heard_ms):
            return f"interrupted at {heard_ms}"
        case CallerTurnEnded():
            return "turn"
        case FalselyStarted():
            return "false start"
        case ResponseRetried():
            return "retried"
        case SilencePrompted():
            return "prompted"
        case KeysPressed(count):
            return f"{count} keys"
        case TransferStarted(destination):
            return f"transfer to {destination}"
        case TransferEnded(outcome):
            return f"not transferred: {outcome}"
        case _:
            return repr(action)


def _event_in_words(event: dict[str, Any]) -> str:  # noqa: C901, PLR0911
    match event:
        case {"type": "response.create", "response": {"instructions": instructions}}:
            return f"respond: {instructions.splitlines()[-1]}"
        case {"type": "response.create"}:
            return "respond"
        case {"type": "response.cancel", "response_id": response_id}:
            return f"cancel {response_id}"
        case {"type": "conversation.item.truncate", "item_id": item_id}:
            return f"truncate {item_id} at {event['audio_end_ms']}"
        case {"type": "conversation.item.delete", "item_id": item_id}:
            return f"delete {item_id}"
        case {"item": {"type": "function_call_output"} as item}:
            return f"output {item['call_id']} {item['output']}"
        case {"item": {"type": "function_call"} as item}:
            return f"called {item['call_id']} {item['name']} {item['arguments']}"
        case {"item": {"content": [{"text": text}]} as item}:
            return f"write {item['role']} {item.get('id', '-')}: {text}"
        case _:
            return str(event)
