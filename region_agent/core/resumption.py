"""How a conversation goes on at another agent: what it is told, and what is due."""

from dataclasses import dataclass, field

from backhaul.core.checkpoint import (
    Called,
    CallerSaid,
    Checkpoint,
    Item,
    ModelSaid,
    Noted,
    Saying,
    VoiceProgress,
)
from backhaul.core.profile import Profile
from region_agent.core.conversation_events import ConversationAction, SendEvent
from region_agent.core.playback import first_words
from region_agent.core.realtime_protocol import (
    assistant_said,
    caller_said,
    continue_reply,
    function_called,
    function_output,
    say_exactly,
)
from region_agent.core.tool_calls import ToolCalls
from region_agent.core.transcript import Transcript
from region_agent.core.voice_items import VoiceItems

__all__ = ["Remainder", "Resumption", "resumption", "seed"]


@dataclass(frozen=True, slots=True)
class Remainder:
    """What the edge got of something that the voice was saying."""

    text: str = field(repr=False)
    """What the audio stands for that the edge got."""
    start: int
    """Its position."""
    size: int
    """So much audio (bytes)."""
    cut: bool
    """Whether there was more to be said."""
    unsaid: str = field(default="", repr=False)
    """The rest, where it is known."""


@dataclass(frozen=True, slots=True)
class Resumption:
    """What is to be done about a checkpoint, in this order."""

    items: tuple[Item | Remainder, ...] = ()
    """What the session is to know; every `Saying` is settled or a `Remainder`. None:
    nothing of the call was heard."""
    clear: bool = False
    """Whether what the edge still plays is dropped: it will be said anew."""
    calls: tuple[Called, ...] = ()
    """Functions to be called again."""
    respond: bool = False
    """Whether the model is to speak."""
    instructions: str = ""
    """For that; empty keeps the session's own."""


def resumption(
    checkpoint: Checkpoint, voice: VoiceProgress, profile: Profile
) -> Resumption:
    """Return how to go on from *checkpoint*; with no items, the call begins anew."""
    items = [
        settled
        for item in checkpoint.items
        if (settled := _as_given(item, voice)) is not None
    ]
    calls = tuple(
        item
        for item in items
        if isinstance(item, Called)
        and item.output is None
        and item.call_id != checkpoint.errand
    )
    last = items[-1] if items else None
    if not isinstance(last, Remainder) or not last.cut:
        clear = _is_in_vain(items, voice)
        return Resumption(tuple(items), clear, calls, _is_due(items, profile))
    if profile.after_failover == "repeat":
        items.pop()
        again = say_exactly(f"{last.text} {last.unsaid}") if last.unsaid else ""
        clear = _is_in_vain(items, voice)
        return Resumption(tuple(items), clear, calls, respond=True, instructions=again)
    rest = (
        say_exactly(last.unsaid) if last.unsaid else continue_reply(profile, last.text)
    )
    return Resumption(tuple(items), calls=calls, respond=True, instructions=rest)


def seed(
    plan: Resumption, voice: VoiceItems, tools: ToolCalls, transcript: Transcript
) -> tuple[ConversationAction, ...]:
    """Let everybody know of the items of *plan*; return how the session learns them."""
    done: list[ConversationAction] = []
    for item in plan.items:
        if isinstance(item, Remainder):
            utterance, told = voice.go_on(item.text, start=item.start, size=item.size)
            transcript.voice(utterance, cut=item.cut)
            done += told
            continue
        transcript.add(item)
        if isinstance(item, Called):
            tools.knows(item)
        done += (SendEvent(event) for event in _events(item))
    return tuple(done)


def _events(item: Item) -> tuple[bytes, ...]:
    match item:
        case CallerSaid(text) | Noted(text):
            return (caller_said(text),)
        case Called(call_id, name, arguments, output):
            call = function_called(call_id, name, arguments)
            return (
                (call,) if output is None else (call, function_output(call_id, output))
            )
        case ModelSaid(text) | Saying(text):  # pragma: no branch - the last of all
            return (assistant_said(text),)


def _as_given(item: Item, voice: VoiceProgress) -> Item | Remainder | None:
    """Return what became of *item*, None when nothing of it reached the edge."""
    if not isinstance(item, Saying):
        return item
    size = max(item.end - item.start, 0)
    given = min(max(voice.position - item.start, 0), size)
    if item.start < voice.cleared_at:
        heard = min(max(voice.cleared_heard - item.start, 0), given)
        return _as_cleared(item, heard, size)
    text = first_words(item.text, given, size)
    if not text:
        return None
    cut = given < size or not item.whole
    rest = item.text.split()[len(text.split()) :] if item.whole else []
    return Remainder(text, item.start, given, cut, " ".join(rest))


def _as_cleared(item: Saying, heard: int, size: int) -> Item | None:
    text = first_words(item.text, heard, size)
    if not text:
        return None
    return ModelSaid(text, heard_whole=heard == size and item.whole)


def _is_in_vain(items: list[Item | Remainder], voice: VoiceProgress) -> bool:
    """Tell whether all that is still played is what will be said anew."""
    ends = (item.start + item.size for item in items if isinstance(item, Remainder))
    return voice.position > voice.heard >= max(ends, default=0)


def _is_due(items: list[Item | Remainder], profile: Profile) -> bool:
    """Tell whether it is the model's turn to speak."""
    last = items[-1] if items else None
    if isinstance(last, Called):
        return last.output is not None
    if isinstance(last, CallerSaid | Noted):
        return True
    # An announcement does not keep the model from beginning.
    announced = bool(profile.opening) and not profile.greeting
    return announced and not profile.caller_speaks_first and len(items) == 1
