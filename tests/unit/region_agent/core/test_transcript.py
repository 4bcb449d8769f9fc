"""What was said, as it was heard, within bounds."""

from backhaul.core.checkpoint import (
    MAX_CHECKPOINT_BYTES,
    MAX_ITEMS,
    Called,
    CallerSaid,
    Checkpoint,
    Item,
    ModelSaid,
    Noted,
    Saying,
)
from backhaul.core.messages import encode_message
from region_agent.core.playback import Utterance
from region_agent.core.transcript import MAX_TEXT_BYTES, UNCERTAIN, Transcript

WORDS = "one two three four five six seven eight"


def kept(transcript: Transcript) -> Checkpoint:
    checkpoint = transcript.checkpoint(elapsed_s=1.5)
    assert len(encode_message(checkpoint)) <= MAX_CHECKPOINT_BYTES
    return checkpoint


def reply(text: str = WORDS, size: int = 800, start: int = 0) -> Utterance:
    """A reply whose audio and text are all there."""
    return Utterance(
        "i1",
        text=text,
        start=start,
        generated_bytes=size,
        forwarded_bytes=size,
        finished=True,
    )


def transcript_of(*items: Item) -> Transcript:
    transcript = Transcript()
    for item in items:
        transcript.add(item)
    return transcript


# The caller


def test_a_turn_covers_their_audio_once_its_words_are_known() -> None:
    transcript = Transcript()
    transcript.turn("u1", 8000)
    assert kept(transcript) == Checkpoint(0, elapsed_s=1.5)
    transcript.caller_said("u1", "Hello?")
    assert kept(transcript) == Checkpoint(1, (CallerSaid("Hello?"),), 8000, 1.5)
    assert kept(transcript) == Checkpoint(1, (CallerSaid("Hello?"),), 8000, 1.5)


def test_what_follows_a_turn_that_is_to_be_heard_again_waits_for_it() -> None:
    transcript = Transcript()
    transcript.turn("u1", 8000)
    transcript.turn("u2", 16_000)
    transcript.caller_said("u2", "Still there?")
    transcript.voice(Utterance("i1", written="Yes", forwarded_bytes=8))
    assert kept(transcript).items == ()
    transcript.caller_said("u1", "Hello?")
    checkpoint = kept(transcript)
    assert checkpoint.items[:2] == (CallerSaid("Hello?"), CallerSaid("Still there?"))
    assert checkpoint.caller_position == 16_000


def test_a_turn_of_which_something_came_is_kept_without_its_words() -> None:
    transcript = Transcript()
    transcript.turn("u1", 8000)
    transcript.add(Called("c1", "book", "{}"))
    transcript.turn("u2", 16_000)
    checkpoint = kept(transcript)
    assert checkpoint.items == (CallerSaid(), Called("c1", "book", "{}"))
    assert checkpoint.caller_position == 8000
    transcript.caller_said("u1", "Book it.")
    assert kept(transcript).items[0] == CallerSaid("Book it.")


def test_a_turn_that_nobody_could_write_down_is_kept_all_the_same() -> None:
    transcript = Transcript()
    transcript.turn("u1", 8000)
    transcript.caller_said("u1", None)
    assert kept(transcript) == Checkpoint(1, (CallerSaid(),), 8000, 1.5)


def test_a_turn_without_a_word_covers_their_audio() -> None:
    transcript = Transcript()
    transcript.turn("u1", 8000)
    transcript.caller_said("u1", " ")
    transcript.noise(9000)
    assert kept(transcript) == Checkpoint(1, (), 9000, 1.5)
    transcript.caller_said("u1", "Too late.")
    transcript.caller_said("unheard of", "Who?")
    assert kept(transcript) == Checkpoint(1, (), 9000, 1.5)


def test_silence_is_covered_when_no_turn_is_left_open() -> None:
    transcript = Transcript()
    assert transcript.silent(4000)
    assert kept(transcript).caller_position == 4000
    transcript.turn("u1", 8000)
    assert not transcript.silent(9000)
    assert kept(transcript).caller_position == 4000
    transcript.caller_said("u1", "Hello?")
    assert transcript.silent(9000)
    assert transcript.silent(7000)
    assert kept(transcript).caller_position == 9000


# The voice


def test_a_reply_is_kept_as_it_was_heard() -> None:
    transcript = Transcript()
    whole, half, unheard = reply(), reply(start=800), reply(start=1600)
    for one in (whole, half, unheard):
        transcript.voice(one)
    whole.heard_bytes, half.heard_bytes, unheard.heard_bytes = 800, 400, 7
    assert kept(transcript).items == (
        ModelSaid(WORDS),
        ModelSaid("one two three four", heard_whole=False),
    )
    assert len(transcript._entries) == 2


def test_a_reply_that_is_being_said_is_kept_as_far_as_it_is_known() -> None:
    transcript = Transcript()
    one = Utterance("i1", start=160, finished=False)
    transcript.voice(one)
    assert kept(transcript).items == ()
    one.written = "one two"
    assert kept(transcript).items == ()
    one.forwarded_bytes = one.generated_bytes = 800
    assert kept(transcript).items == (Saying("one two", 160, 960, whole=False),)
    one.text, one.generated_bytes, one.finished = "one two three", 1000, True
    assert kept(transcript).items == (Saying("one two three", 160, 1160, whole=True),)
    one.interrupted, one.forwarded_bytes = True, 700
    assert kept(transcript).items == (Saying("one two", 160, 860, whole=True),)


def test_a_reply_without_text_is_not_kept_until_it_has_some() -> None:
    transcript = Transcript()
    one = reply(text="")
    transcript.voice(one)
    one.heard_bytes = 800
    assert kept(transcript).items == ()
    one.heard_bytes = 400
    assert kept(transcript).items == ()
    one.text = WORDS
    assert kept(transcript).items == (ModelSaid("one two three four", False),)


def test_a_reply_that_was_cut_with_its_agent_stays_so() -> None:
    transcript = Transcript()
    one = reply()
    transcript.voice(one, cut=True)
    assert kept(transcript).items == (Saying(WORDS, 0, 800, whole=False),)
    one.heard_bytes = 800
    assert kept(transcript).items == (Saying(WORDS, 0, 800, whole=False),)
    one.heard_bytes = 100
    assert kept(transcript).items == (ModelSaid("one", heard_whole=False),)


# Functions


def test_a_call_is_kept_and_gets_its_output() -> None:
    transcript = transcript_of(Called("c1", "a", "{}"), Called("c2", "b", "{}"))
    transcript.answered("c2", "42")
    transcript.answered("c3", "unheard of")
    transcript.errand = "c1"
    checkpoint = kept(transcript)
    assert checkpoint.items == (Called("c1", "a", "{}"), Called("c2", "b", "{}", "42"))
    assert checkpoint.errand == "c1"


# Bounds


def test_the_oldest_gives_way_but_never_a_call_without_output() -> None:
    call = Called("c1", "book", "{}", key="CA1-c1")
    answered = Called("c0", "look", "{}", "42")
    said = [Noted(f"{number} " + "x" * 1000) for number in range(100)]
    transcript = transcript_of(answered, call, *said)
    items = kept(transcript).items
    assert items[0] == call
    assert items[1:] == tuple(said[-(len(items) - 1) :])
    assert 60 < len(items) < 65
    assert len(transcript._entries) == len(items)
    transcript.answered("c1", "done")
    transcript.add(said[0])
    assert call.call_id not in str(kept(transcript).items)


def test_there_are_only_so_many_items() -> None:
    call = Called("c1", "book", "{}")
    transcript = transcript_of(call, *(MAX_ITEMS * [Noted("1")]))
    items = kept(transcript).items
    assert len(items) == MAX_ITEMS
    assert items[0] == call


def test_a_call_that_is_too_long_to_be_made_again_is_kept_as_uncertain() -> None:
    long = "x" * 20_000
    first, second, third = (
        Called("c1", "book", long, key="k1"),
        Called("c2", "book", long, key="k2"),
        Called("c3", "book", "{}", key="k3"),
    )
    assert kept(transcript_of(first, second, third)).items == (
        first,
        Called("c2", "book", "{}", UNCERTAIN, "k2"),
        third,
    )


def test_a_long_text_is_cut() -> None:
    output = "ü" * MAX_TEXT_BYTES
    items = kept(
        transcript_of(
            CallerSaid("x" * (MAX_TEXT_BYTES + 1)), Called("c1", "a", "{}", output)
        )
    ).items
    assert items == (
        CallerSaid("x" * MAX_TEXT_BYTES),
        Called("c1", "a", "{}", "ü" * (MAX_TEXT_BYTES // 2)),
    )


# Words that are still to come


def test_only_the_caller_s_last_turn_is_waited_for() -> None:
    transcript = Transcript()
    assert not transcript.awaits_words
    transcript.turn("u1", 160)
    transcript.add(Noted("1"))
    assert transcript.awaits_words
    transcript.turn("u2", 320)
    transcript.caller_said("u2", "Hello?")
    assert not transcript.awaits_words


# From agent to agent


def test_a_transcript_goes_on_where_another_ended() -> None:
    before = Checkpoint(7, (Noted("Pressed 4."),), caller_position=8000, errand="c1")
    transcript = Transcript()
    transcript.resume(before)
    assert transcript.version == 8
    transcript.add(before.items[0])
    checkpoint = kept(transcript)
    assert checkpoint.version == 9
    assert checkpoint.items == before.items
    assert (checkpoint.caller_position, checkpoint.errand) == (8000, "c1")
