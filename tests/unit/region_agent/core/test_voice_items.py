"""The voice item by item; `conversation` tells how items are corrected."""

from backhaul.core.checkpoint import ModelSaid, Saying
from region_agent.core.call_events import Speaker
from region_agent.core.conversation_events import SendAudio, SendEvent, Spoken
from region_agent.core.playback import Playback
from region_agent.core.realtime_protocol import (
    assistant_said,
    delete_item,
    truncate_item,
)
from region_agent.core.transcript import Transcript
from region_agent.core.voice_items import VoiceItems


def test_audio_of_any_but_the_current_response_is_stale() -> None:
    voice = VoiceItems(Playback())
    assert voice.audio("r1", "i1", b"\x01", forwarding="r1")
    assert not voice.audio("r0", "i0", b"\x01", forwarding="r1")
    assert not voice.audio("", "i0", b"\x01", forwarding="")
    assert not voice.audio("r1", "i1", b"\x01", forwarding="")
    assert not voice.audio("r2", "", b"\x01", forwarding="")
    assert (voice.spoke("r1"), voice.spoke("r0")) == (True, False)


def test_an_item_that_was_cut_is_never_taken_up_again() -> None:
    voice = VoiceItems(Playback())
    voice.audio("r1", "i1", bytes(800), forwarding="r1")
    voice.interrupt()
    assert not voice.audio("r1", "i1", bytes(800), forwarding="r1")


def test_an_item_of_which_nothing_went_out_is_deleted_once() -> None:
    voice = VoiceItems(Playback())
    voice.audio("r1", "i1", b"\x01", forwarding="")
    voice.audio("r1", "i1", b"\x01", forwarding="")
    assert voice.response_ended("r1") == (SendEvent(delete_item("i1")),)
    voice.audio("r1", "i1", b"\x01", forwarding="")
    assert voice.response_ended("r1") == ()


def test_all_items_of_a_response_are_whole_when_it_ends() -> None:
    voice = VoiceItems(Playback())
    voice.audio("r1", "i1", bytes(800), forwarding="r1")
    voice.text("i1", "Well")
    assert voice.played(800) == ()
    said = Spoken(Speaker.MODEL, "i1", "Well", heard_ms=100)
    assert voice.response_ended("r1") == (said,)
    assert not voice.spoke("r1")
    assert voice.finish("i1") == ()
    assert voice.finish("unheard of") == ()


def test_text_that_is_known_late_is_reported_late() -> None:
    voice = VoiceItems(Playback())
    voice.audio("r1", "i1", bytes(800), forwarding="r1")
    voice.finish("i1")
    assert voice.played(800) == ()
    assert voice.text("i1", "Yes.") == (
        Spoken(Speaker.MODEL, "i1", "Yes.", heard_ms=100),
    )
    assert voice.text("i2", "No.") == (
        Spoken(Speaker.MODEL, "i2", "No.", heard_whole=False, heard_ms=0),
    )


def test_a_phrase_is_told_to_the_model_unless_it_is_no_part_of_the_talk() -> None:
    voice = VoiceItems(Playback())
    told = SendEvent(assistant_said("Hello.", "phrase_1"))
    audio = SendAudio(bytes(800))
    assert voice.say("Hello.", bytes(800), tell_model=True) == (told, audio)
    assert voice.say("Wait.", bytes(800), tell_model=False) == (audio,)
    voice.interrupt()
    assert [type(action) for action in voice.cleared(1600, 1000)][1:] == [
        Spoken,
        Spoken,
    ]


def test_a_phrase_may_be_held_like_all_audio() -> None:
    playback = Playback()
    playback.pause(paused=True)
    voice = VoiceItems(playback)
    told = SendEvent(assistant_said("Hello.", "phrase_1"))
    assert voice.say("Hello.", bytes(800), tell_model=True) == (told,)
    playback.pause(paused=False)
    assert playback.release() == (bytes(800),)


def test_of_a_phrase_of_which_anything_was_heard_a_word_is_kept() -> None:
    voice = VoiceItems(Playback())
    voice.played_elsewhere("Hello there, dear caller.", 8000)
    voice.interrupt()
    kept = assistant_said("Hello", "phrase_1_cut", after="phrase_1")
    assert SendEvent(kept) in voice.cleared(8000, 8)


def test_only_some_items_are_remembered() -> None:
    voice = VoiceItems(Playback())
    for number in range(65):
        item_id = f"i{number}"
        voice.audio("r1", item_id, bytes(8), forwarding="r1")
    assert voice.text("i64", "Last.") == ()
    assert len(voice.text("i0", "First.")) == 1
    assert len(voice._items) == 64


def test_an_item_that_was_all_heard_so_far_is_cut_there_at_once() -> None:
    voice = VoiceItems(Playback())
    voice.audio("r1", "i1", bytes(800), forwarding="r1")
    voice.played(800)
    assert SendEvent(truncate_item("i1", 100)) in voice.interrupt()
    assert voice.finish("i1") == ()


def test_text_may_come_before_its_audio_and_after_it() -> None:
    transcript = Transcript()
    voice = VoiceItems(Playback(), transcript)
    assert not voice.wrote("i1", "It is ")
    voice.audio("r1", "i1", bytes(800), forwarding="r1")
    version = transcript.version
    assert not voice.wrote("i1", "a ")
    assert transcript.version == version
    assert voice.wrote("i1", "story of more than forty characters.")
    assert transcript.version > version
    (saying,) = transcript.checkpoint(elapsed_s=0.0).items
    assert saying == Saying(
        "It is a story of more than forty characters.", 0, 800, whole=False
    )


def test_what_is_generated_after_a_cut_counts_for_the_share_that_was_heard() -> None:
    transcript = Transcript()
    voice = VoiceItems(Playback(), transcript)
    voice.audio("r1", "i1", bytes(800), forwarding="r1")
    voice.interrupt()
    voice.audio("r1", "i1", bytes(800), forwarding="r1")
    voice.text("i1", "One two three four.")
    voice.cleared(800, 800)
    (said,) = transcript.checkpoint(elapsed_s=0.0).items
    assert said == ModelSaid("One two", heard_whole=False)


def test_what_another_agent_said_is_heard_to_its_end() -> None:
    playback = Playback()
    playback.resume(position=1600, heard=700)
    voice = VoiceItems(playback)
    before, told = voice.go_on("Hello.", start=0, size=700)
    assert told == (
        SendEvent(assistant_said("Hello.", "phrase_1")),
        Spoken(Speaker.MODEL, "phrase_1", "Hello.", heard_ms=87),
    )
    assert before.heard_whole
    after, told = voice.go_on("So.", start=700, size=900)
    assert told == (SendEvent(assistant_said("So.", "phrase_2")),)
    assert playback.audible
    assert voice.played(1600) == (
        Spoken(Speaker.MODEL, "phrase_2", "So.", heard_ms=112),
    )
    assert after.heard_whole
