"""Playback: positions in bytes, from the model to the caller's ear."""

import pytest

from region_agent.core.playback import (
    MAX_HELD_BYTES,
    UNTOLD_S,
    Playback,
    PlaybackWatch,
    Utterance,
    first_words,
)

ALL = "one two  three four"


def speak(playback: Playback, item_id: str, size: int) -> Utterance:
    utterance = playback.begin(Utterance(item_id, finished=True))
    playback.offer(utterance, bytes(size))
    return utterance


def test_what_was_played_to_its_end_was_heard() -> None:
    playback = Playback()
    first, second = speak(playback, "a", 800), speak(playback, "b", 160)
    assert (first.start, first.end, second.start, second.end) == (0, 800, 800, 960)
    assert playback.on_played(799) == ()
    assert playback.on_played(800) == (first,)
    assert first.heard_whole
    assert first.heard_ms == 100
    assert playback.audible
    assert playback.on_played(5000) == (second,)
    assert (playback.played, playback.audible) == (960, False)


def test_an_utterance_that_goes_on_is_not_over() -> None:
    playback = Playback()
    utterance = playback.begin(Utterance("a"))
    playback.offer(utterance, bytes(800))
    assert playback.on_played(800) == ()
    assert not utterance.heard_whole
    utterance.finished = True
    assert playback.on_played(0) == (utterance,)


def test_reports_that_come_late_turn_nothing_back() -> None:
    playback = Playback()
    speak(playback, "a", 800)
    playback.on_played(500)
    playback.on_played(300)
    assert playback.played == 500
    playback.on_cleared(400, 400)
    assert playback.played == 500


@pytest.mark.parametrize(
    ("heard", "first_bytes", "second_bytes"),
    [(0, 0, 0), (400, 400, 0), (800, 800, 0), (900, 800, 100), (5000, 800, 160)],
)
def test_a_clear_tells_how_much_of_each_was_heard(
    heard: int, first_bytes: int, second_bytes: int
) -> None:
    playback = Playback()
    first, second = speak(playback, "a", 800), speak(playback, "b", 160)
    playback.interrupt()
    assert playback.on_cleared(960, heard) == (first, second)
    assert (first.heard_bytes, second.heard_bytes) == (first_bytes, second_bytes)
    assert not playback.audible


def test_what_came_after_a_clear_waits_for_a_clear_of_its_own() -> None:
    playback = Playback()
    first = speak(playback, "a", 800)
    playback.interrupt()
    second = speak(playback, "b", 160)
    playback.interrupt()
    assert playback.on_cleared(800, 100) == (first,)
    assert second.heard_bytes is None
    assert playback.on_cleared(960, 880) == (second,)
    assert second.heard_bytes == 80


def test_of_what_never_went_out_nothing_was_heard() -> None:
    playback = Playback()
    playback.pause(paused=True)
    utterance = speak(playback, "a", 800)
    playback.interrupt()
    assert playback.on_cleared(0, 0) == (utterance,)
    assert (utterance.heard_bytes, utterance.heard_whole) == (0, False)


def test_audio_that_the_carrier_lost_by_itself_was_not_heard() -> None:
    playback = Playback()
    whole, cut = speak(playback, "a", 800), speak(playback, "b", 160)
    going_on = playback.begin(Utterance("c"))
    playback.offer(going_on, bytes(80))
    assert playback.on_cleared(1040, 880) == (whole, cut)
    assert whole.heard_whole
    assert cut.heard_bytes == 80
    silent = Playback()
    speak(silent, "a", 0)
    assert silent.on_cleared(0, 0) == ()


def test_audio_beyond_what_the_carrier_takes_is_held_in_order() -> None:
    playback = Playback(max_ahead_bytes=1000)
    utterance = playback.begin(Utterance("a"))
    assert playback.offer(utterance, bytes(1000))
    assert not playback.offer(utterance, b"\x01")
    assert not playback.offer(utterance, b"")
    utterance.finished = True
    assert playback.ahead_s == 1001 / 8000
    assert playback.release() == ()
    playback.on_played(1000)
    assert utterance.heard_bytes is None
    assert playback.audible
    assert playback.release() == (b"\x01", b"")
    assert utterance.forwarded_bytes == 1001


def test_a_carrier_that_pauses_gets_nothing() -> None:
    playback = Playback()
    playback.pause(paused=True)
    utterance = speak(playback, "a", 800)
    assert playback.release() == ()
    playback.pause(paused=False)
    assert playback.release() == (bytes(800),)
    assert playback.on_played(800) == (utterance,)


def test_the_start_of_what_was_held_is_where_it_went_out() -> None:
    playback = Playback()
    speak(playback, "a", 800)
    playback.pause(paused=True)
    later = speak(playback, "b", 160)
    speak(playback, "c", 80)
    assert later.start == 800
    playback.pause(paused=False)
    playback.release()
    assert (later.start, later.end) == (800, 960)


def test_what_is_held_is_bounded() -> None:
    playback = Playback()
    playback.pause(paused=True)
    utterance = playback.begin(Utterance("a"))
    playback.offer(utterance, bytes(MAX_HELD_BYTES))
    assert not playback.offer(utterance, b"\x01")
    assert playback.overflowed_bytes == 1
    playback.interrupt()
    assert not playback.audible


def test_at_the_end_everything_was_heard_as_far_as_is_known() -> None:
    playback = Playback()
    first, second = speak(playback, "a", 800), speak(playback, "b", 160)
    third = speak(playback, "c", 80)
    playback.on_played(700)
    playback.played = 880
    assert playback.abandon() == (first, second, third)
    heard = (first.heard_bytes, second.heard_bytes, third.heard_bytes)
    assert heard == (800, 80, 0)
    assert playback.abandon() == ()


def test_no_text_is_shown_where_an_utterance_is() -> None:
    assert "secret" not in repr(Utterance("a", text="secret"))


def test_a_carrier_that_tells_nothing_is_noticed() -> None:
    playback = Playback()
    watch = PlaybackWatch(playback)
    watch.observe(now=0.0)
    assert watch.next_deadline() is None
    assert not watch.overdue(now=99.0)
    speak(playback, "a", 8000)
    watch.observe(now=1.0)
    watch.observe(now=2.0)
    assert watch.next_deadline() == 2.0 + UNTOLD_S
    playback.on_played(4000)
    watch.observe(now=3.0)
    assert watch.next_deadline() == 3.5 + UNTOLD_S
    assert not watch.overdue(now=23.4)
    assert watch.overdue(now=23.5)
    playback.on_played(8000)
    watch.observe(now=24.0)
    assert watch.next_deadline() is None


def test_positions_go_on_where_another_agent_left_off() -> None:
    playback = Playback()
    playback.resume(position=1600, heard=800)
    assert playback.audible
    assert playback.ahead_s == 0.1
    before = Utterance("a", start=800, forwarded_bytes=800, finished=True)
    playback.adopt(before)
    after = speak(playback, "b", 160)
    assert after.start == 1600
    assert playback.on_played(1760) == (before, after)


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, ""), (1, "one"), (500, "one two"), (999, "one two three"), (1000, ALL)],
)
def test_words_are_shared_out_over_the_audio(size: int, words: str) -> None:
    assert first_words(ALL, size, 1000) == words
    assert Utterance("a", written=ALL, generated_bytes=1000).words_until(size) == words


def test_words_without_audio_are_all_there_is() -> None:
    assert first_words(ALL, 0, 0) == ALL
