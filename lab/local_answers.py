"""What the local voice answers: a small hotel's front desk, by the words it hears."""

import re
from typing import Final

__all__ = ["OPENING", "answer_to"]

OPENING: Final = "Good evening, this is the night line. What can I do for you?"

_NOTHING: Final = "I am sorry, I did not catch that. Could you say it again?"
_ANSWERS: Final = (
    (
        ("bye", "goodbye", "that's all", "that is all"),
        "Thank you for calling. Goodbye.",
    ),
    (
        ("table", "dinner", "restaurant"),
        "A table, with pleasure. For how many people, and at what time?",
    ),
    (
        ("book", "room", "stay", "reservation", "night"),
        "I can book a room for you. Which night would you like to arrive?",
    ),
    (
        ("open", "opening", "hours", "close", "weekend"),
        "We are open every day, from nine in the morning until six in the evening.",
    ),
    (("breakfast",), "Breakfast is from seven until ten, and it is included."),
    (("park", "parking", "car"), "Parking is free, right behind the house."),
    (("price", "cost", "much", "rate"), "A double room is ninety pounds a night."),
    (
        ("appointment", "move", "cancel", "change"),
        "Of course, I can change that. Which day suits you better?",
    ),
    (
        ("parcel", "package", "delivery"),
        "I will look that up. It should arrive tomorrow morning.",
    ),
    (
        ("warm", "cold", "fast", "quick", "latency"),
        "I was ready before you called. That is what warm means.",
    ),
    (
        ("region", "kill", "killed", "failover", "server"),
        "Go on, kill the region that I am in. I will remember what you said.",
    ),
    (("name", "who"), "I am a small voice that runs on this very machine."),
    (("human", "person", "someone"), "There is nobody here but me at this hour."),
    (("thank", "thanks"), "You are very welcome. Is there anything else?"),
    (("hello", "hi", "hey", "morning", "evening"), "Hello! How can I help you?"),
    (("yes", "please", "okay", "sure"), "Very well, I have written that down."),
    (("no", "nothing"), "All right. Is there anything else?"),
)
"""Words, and what is answered to any of them; the first ones that fit."""
_MAX_WORDS: Final = 16


def answer_to(said: str) -> str:
    """Return what is answered to *said*; empty: nothing was understood."""
    words = re.findall(r"[a-z']+", said.lower())
    if not words:
        return _NOTHING
    spoken = f" {' '.join(words)} "
    for wanted, answer in _ANSWERS:
        if any(f" {one} " in spoken for one in wanted):
            return answer
    return f"You said: {' '.join(words[:_MAX_WORDS])}. Tell me more."
