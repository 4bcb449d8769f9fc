"""A voice that thinks in a thread, and what a session makes of it."""

import threading
from collections.abc import Iterator

import pytest

from backhaul.clock import monotonic_s
from lab.local_answers import OPENING
from lab.local_voice import LocalMind, LocalVoice
from tests.unit.realtime_client import SLOW, Client, audio_of, only, types

LONG_S = 30.0


class Ears:
    """Hears what the bytes say, when it is let."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.free.set()

    def transcribe(self, audio: bytes) -> str:
        assert self.free.wait(LONG_S)
        return audio.decode()


class Mouth:
    def say(self, text: str) -> bytes:
        return text.encode()


@pytest.fixture
def ears() -> Ears:
    return Ears()


@pytest.fixture
def voice(ears: Ears) -> Iterator[LocalVoice]:
    voice = LocalVoice(ears, Mouth())
    yield voice
    ears.free.set()
    voice.close()


def reply_of(mind: LocalMind) -> str:
    give_up_at = monotonic_s() + LONG_S
    while (line := mind.reply()) is None:
        assert monotonic_s() < give_up_at
    assert line.audio == line.text.encode()
    return line.text


def test_before_anything_was_heard_it_opens(voice: LocalVoice) -> None:
    assert reply_of(voice.mind()) == OPENING


def test_it_answers_what_it_has_heard(voice: LocalVoice) -> None:
    mind = voice.mind()
    words = mind.hear(b"hello")
    assert reply_of(mind) == "Hello! How can I help you?"
    assert words() == "hello"


def test_it_does_not_answer_before_it_has_thought(
    voice: LocalVoice, ears: Ears
) -> None:
    mind = voice.mind()
    reply_of(mind)
    ears.free.clear()
    words = mind.hear(b"hello")
    assert mind.reply() is None
    assert words() is None
    ears.free.set()
    assert reply_of(mind) == "Hello! How can I help you?"


def test_only_the_latest_turn_is_answered(voice: LocalVoice, ears: Ears) -> None:
    mind, other = voice.mind(), voice.mind()
    reply_of(mind)
    ears.free.clear()
    other.hear(b"hello")
    first = mind.hear(b"seven elephants")
    mind.hear(b"goodbye")
    assert first() == ""
    ears.free.set()
    assert reply_of(mind) == "Thank you for calling. Goodbye."


def test_a_response_waits_for_its_thought(voice: LocalVoice, ears: Ears) -> None:
    mind = voice.mind()
    reply_of(mind)
    client = Client(SLOW, mind=mind)
    client.configure()
    ears.free.clear()
    mind.hear(b"hello")
    assert types(client.say(now=10.0)) == ["response.created", "rate_limits.updated"]
    assert client.at(10.5) == []
    ears.free.set()
    reply_of(mind)
    events = client.at(12.0)
    assert audio_of(events) == b"Hello! How can I help you?"
    assert only(events, "response.done")["response"]["status"] == "completed"
