"""Fixed phrases of a profile: which there are, and how the model is asked for one."""

import msgspec

from backhaul.core.profile import Profile
from region_agent.core.realtime_protocol import say_exactly

__all__ = ["fixed_phrases", "speak_phrase"]


def fixed_phrases(profile: Profile) -> tuple[str, ...]:
    """Return what *profile* says in fixed words, the most urgent first.

    The opening is none of them: it is needed before there is a call.
    """
    phrases = [profile.fallback.script, *(tool.filler for tool in profile.tools)]
    silence, length = profile.silence, profile.length
    if silence.after_s:
        phrases += [silence.prompt] if silence.prompts else []
        phrases.append(silence.goodbye)
    if length.max_s:
        phrases += [length.warning] if length.warning_s else []
        phrases.append(length.goodbye)
    return tuple(dict.fromkeys(phrase for phrase in phrases if phrase.strip()))


def speak_phrase(text: str) -> bytes:
    """Return a ``response.create`` that speaks *text* and leaves no trace.

    It becomes no part of the conversation, and the words of a phrase (such as a
    goodbye) call no function.
    """
    response = {
        "conversation": "none",
        "instructions": say_exactly(text),
        "tool_choice": "none",
    }
    return msgspec.json.encode({"type": "response.create", "response": response})
