"""While no edge has a call nothing is said; what was lost with one is said again."""

import pytest

from backhaul.core.messages import Digit, Played
from backhaul.core.profile import Profile
from region_agent.core.conversation import Conversation
from region_agent.core.conversation_events import (
    AudioEnded,
    CallBegan,
    CallReserved,
    CallTaken,
    ConversationAction,
    ConversationEvent,
    EdgeBack,
    EdgeLost,
    ModelSaid,
    ResponseBegan,
    ResponseEnded,
    SendAudio,
    SendEvent,
)
from region_agent.core.realtime_protocol import (
    caller_said,
    cancel_response,
    continue_reply,
    create_response,
    delete_item,
    keys_in_words,
    say_exactly,
    truncate_item,
)
from tests.unit.conversation_script import conversation_of, quiet_profile

WORDS = "one two three four"


def begun(profile: Profile | None = None) -> Conversation:
    call = conversation_of(profile or quiet_profile(), {})
    call.handle(CallBegan(), now=0.0)
    return call


def tell(
    call: Conversation, *events: ConversationEvent, now: float = 1.0
) -> list[ConversationAction]:
    """Return what *events* lead to, but for what is told of it."""
    done = [action for event in events for action in call.handle(event, now=now)]
    return [action for action in done if isinstance(action, SendEvent | SendAudio)]


def speak(call: Conversation, *, text: str = "", done: bool = True) -> None:
    """The model speaks for a second; it may have finished, and be written down."""
    call.handle(ResponseBegan("r1"), now=1.0)
    call.audio("r1", "i1", bytes(8000))
    if text:
        call.handle(ModelSaid("i1", text), now=1.0)
    if done:
        call.handle(AudioEnded("i1"), now=1.0)
        call.handle(ResponseEnded("r1", "completed"), now=1.0)


def sent(*events: bytes) -> list[SendEvent]:
    return [SendEvent(event) for event in events]


def test_nothing_is_asked_of_the_model_until_the_edge_is_back() -> None:
    call = begun()
    call.handle(EdgeLost(), now=1.0)
    told = tell(call, Digit("4"), Digit("#"))
    assert told == sent(caller_said(keys_in_words("4#")))
    assert tell(call, EdgeBack()) == sent(create_response())


def test_what_was_heard_is_not_said_again() -> None:
    call = begun()
    speak(call, text=WORDS)
    call.handle(Played(8000), now=2.0)
    assert tell(call, CallReserved(), CallTaken()) == []


def test_the_rest_of_a_reply_that_is_written_down_is_said_word_for_word() -> None:
    call = begun()
    speak(call, text=WORDS)
    call.handle(Played(4000), now=2.0)
    assert tell(call, CallReserved()) == sent(truncate_item("i1", 500))
    assert tell(call, CallTaken()) == sent(create_response(say_exactly("three four")))
    assert call.playback.forwarded == call.playback.played == 8000


def test_a_reply_may_be_repeated_as_a_whole() -> None:
    call = begun(quiet_profile(after_failover="repeat"))
    speak(call, text=WORDS)
    call.handle(Played(4000), now=2.0)
    tell(call, CallReserved())
    assert tell(call, CallTaken()) == sent(create_response(say_exactly(WORDS)))


def test_a_reply_of_which_nothing_was_heard_is_said_as_a_whole() -> None:
    call = begun()
    speak(call, text=WORDS)
    assert tell(call, CallReserved()) == sent(delete_item("i1"))
    assert tell(call, CallTaken()) == sent(create_response(say_exactly(WORDS)))


def test_a_reply_that_is_being_generated_is_cancelled_and_continued() -> None:
    profile = quiet_profile()
    call = begun(profile)
    speak(call, done=False)
    call.wrote("i1", "one two")
    call.handle(Played(4000), now=2.0)
    cut = sent(cancel_response("r1"), truncate_item("i1", 500))
    assert tell(call, CallReserved()) == cut
    assert tell(call, CallTaken()) == []  # the one before must have ended
    assert tell(call, ResponseEnded("r1", "cancelled")) == sent(
        create_response(continue_reply(profile, "one"))
    )


def test_a_reply_that_has_not_begun_to_speak_is_for_the_next_edge() -> None:
    call = begun()
    call.handle(ResponseBegan("r1"), now=1.0)
    assert tell(call, CallReserved()) == []
    assert not call.audio("r1", "i1", b"held")
    assert tell(call, CallTaken()) == [SendAudio(b"held")]
    assert call.audio("r1", "i1", b"goes on")


@pytest.mark.parametrize(
    ("after_failover", "heard"), [("repeat", 4000), ("continue", 0)]
)
def test_words_that_nobody_wrote_down_lead_to_a_new_answer(
    after_failover: str, heard: int
) -> None:
    call = begun(quiet_profile(after_failover=after_failover))
    speak(call, done=False)
    call.handle(Played(heard), now=2.0)
    tell(call, CallReserved())
    assert tell(call, CallTaken(), ResponseEnded("r1", "cancelled")) == sent(
        create_response()
    )


def test_a_reply_that_comes_between_two_edges_is_kept_for_the_next() -> None:
    call = begun()
    call.handle(CallReserved(), now=1.0)
    call.handle(ResponseBegan("r1"), now=1.0)
    assert not call.audio("r1", "i1", bytes(800))
    assert tell(call, CallTaken()) == [SendAudio(bytes(800))]


def test_words_whose_audio_was_heard_are_not_missed() -> None:
    call = begun()
    speak(call, done=False)
    call.handle(ModelSaid("i1", "one"), now=1.0)
    call.handle(Played(8000), now=2.0)
    cut = sent(cancel_response("r1"), truncate_item("i1", 1000))
    assert tell(call, CallReserved()) == cut
    assert tell(call, CallTaken(), ResponseEnded("r1", "cancelled")) == []
