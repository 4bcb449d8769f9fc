from backhaul.core.checkpoint import Checkpoint, VoiceProgress
from backhaul.core.messages import Open
from region_agent.core.conversation_events import CallBegan


def test_a_call_begins_as_its_edge_says() -> None:
    kept, voice = Checkpoint(7), VoiceProgress(800, 400)
    message = Open(
        "1",
        "CA1",
        "desk",
        greeting_text="Hello.",
        greeting_bytes=80,
        resumed=True,
        checkpoint=kept,
        voice=voice,
    )
    assert CallBegan.of(message) == CallBegan("Hello.", 80, True, kept, voice)
