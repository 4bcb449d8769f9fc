"""What another agent would have to know."""

from backhaul.core import checkpoint as kept
from backhaul.core.messages import Digit, Flow, Played
from backhaul.core.profile import Profile
from region_agent.core.conversation_events import (
    CallBegan,
    CallerSaid,
    CallerUnheard,
    ModelSaid,
    ResponseBegan,
    ResponseEnded,
    SpeechStarted,
    SpeechStopped,
    ToolCalled,
    TranscriptGrew,
    TurnCommitted,
)
from tests.unit.conversation_script import (
    LOOKUP,
    Step,
    Voice,
    conversation_of,
    play,
    quiet_profile,
    says,
)

KEYS = "write user -: The caller pressed these keys of the telephone: #"


def items_after(script: list[Step], profile: Profile) -> tuple[kept.Item, ...]:
    conversation = conversation_of(profile, {})
    play(conversation, script)
    return conversation.checkpoint(now=script[-1][0]).items


def test_a_conversation_is_kept_as_it_was_heard() -> None:
    assert items_after(
        [
            (0.0, CallBegan("Hello.", 8000), ["write assistant phrase_1: Hello."]),
            (1.0, Played(8000), ["model: Hello."]),
            (2.0, SpeechStarted(), []),
            (3.0, SpeechStopped(), ["turn"]),
            (3.0, TurnCommitted("u1", 24_000), []),
            (3.4, CallerSaid("u1", "Hello?"), ["caller: Hello?"]),
            (3.5, ResponseBegan("r1"), []),
            (3.5, ToolCalled("c1", "lookup", "{}"), ["call c1 lookup {}"]),
            (3.6, ResponseEnded("r1", "completed"), []),
            (4.0, Digit("#"), ["1 keys", KEYS, "respond"]),
            (4.0, TurnCommitted("u2", 30_000), []),
            (4.1, CallerUnheard("u2"), []),
        ],
        quiet_profile(greeting="Hello.", tools=(LOOKUP,)),
    ) == (
        kept.ModelSaid("Hello."),
        kept.CallerSaid("Hello?"),
        kept.Called("c1", "lookup", "{}", key="CA1-c1"),
        kept.Noted(KEYS.removeprefix("write user -: ")),
        kept.CallerSaid(),
    )


def test_a_cough_is_not_kept() -> None:
    assert items_after(
        [
            *says(0.0, "r1", "i1", 80_000),
            (0.1, ModelSaid("i1", "An epic."), []),
            (1.0, SpeechStarted(), []),
            (1.1, SpeechStopped(), ["false start"]),
            (1.1, TurnCommitted("u1", 8000), []),
            (1.2, CallerSaid("u1", "Hem."), ["caller: Hem."]),
        ],
        quiet_profile(min_interruption_ms=300),
    ) == (kept.Saying("An epic.", 0, 80_000, whole=True),)


def test_a_reply_is_kept_as_far_as_it_is_written() -> None:
    conversation = conversation_of(quiet_profile(), {})
    play(conversation, [(0.0, ResponseBegan("r1"), [])])
    assert not conversation.wrote("i1", "It is ")
    play(conversation, [(0.1, Voice("r1", "i1", 800), ["audio 800"])])
    assert not conversation.wrote("i1", "a long ")
    assert conversation.wrote("i1", "story that I am going to tell.")
    assert conversation.checkpoint(now=0.2).items == (
        kept.Saying("It is a long story that I am going to tell.", 0, 800, whole=False),
    )


def test_growth_is_told_once() -> None:
    conversation = conversation_of(quiet_profile(), {})
    assert conversation.handle(TurnCommitted("u1", 8), now=0.0) == ()
    *_, grew = conversation.handle(CallerSaid("u1", "Yes."), now=0.0)
    assert grew == TranscriptGrew()
    assert conversation.handle(Flow(paused=False), now=0.0) == ()
