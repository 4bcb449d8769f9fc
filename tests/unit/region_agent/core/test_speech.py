"""What the voice says next; the tests in `conversation` tell the rest."""

from collections.abc import Callable

from backhaul.core.messages import Clear
from backhaul.core.profile import Profile
from region_agent.core.conversation_events import (
    ConversationAction,
    ResponseRetried,
    SendAudio,
    SendEvent,
    SendMessage,
    SilencePrompted,
)
from region_agent.core.realtime_protocol import (
    assistant_said,
    cancel_response,
    create_response,
    say_exactly,
)
from region_agent.core.speech import Speech
from region_agent.core.transcript import Transcript
from region_agent.core.turns import AskAgain, CancelResponse, Interrupt

PHRASES = {"Hello.": bytes(800)}


def speech_with(
    interrupted: Callable[[], tuple[ConversationAction, ...]] = tuple,
) -> Speech:
    return Speech(
        Profile(instructions="Be kind."),
        transcript=Transcript(),
        phrases=PHRASES.get,
        interrupted=interrupted,
    )


def test_phrases_come_from_memory_or_from_the_model() -> None:
    speech = speech_with()
    assert speech.say(" ", 0.0) == ()
    assert not speech.busy
    told = SendEvent(assistant_said("Hello.", "phrase_1"))
    assert speech.say("Hello.", 0.0) == (told, SendAudio(bytes(800)))
    assert speech.busy
    spoken = SendEvent(create_response(say_exactly("Goodbye.")))
    assert speech.say("Goodbye.", 0.0) == (spoken,)


def test_what_is_held_goes_out_later() -> None:
    speech = speech_with()
    speech.playback.pause(paused=True)
    assert speech.say("Hello.", 0.0, in_conversation=False) == ()
    speech.playback.pause(paused=False)
    assert speech.release() == (SendAudio(bytes(800)),)


def test_the_model_speaks_when_it_is_asked() -> None:
    assert speech_with().respond(0.0) == (SendEvent(create_response()),)


def test_an_interruption_leads_to_more() -> None:
    more = SilencePrompted()
    speech = speech_with(lambda: (more,))
    assert speech.obey((Interrupt(),)) == (more,)
    speech.say("Hello.", 0.0)
    assert speech.obey((Interrupt(),)) == (SendMessage(Clear()), more)


def test_every_order_is_carried_out() -> None:
    assert speech_with().obey((AskAgain(), CancelResponse("r1"))) == (
        ResponseRetried(),
        SendEvent(cancel_response("r1")),
    )
