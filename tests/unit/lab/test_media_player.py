import pytest

from lab.media_player import (
    Burst,
    Cleared,
    Gap,
    MediaPlayer,
    audible_end,
    audible_start,
)

TONE = bytes([0x10, 0x90])
QUIET = b"\xff\x7f"


def tone(ms: int) -> bytes:
    return TONE * (ms * 4)


def quiet(ms: int) -> bytes:
    return QUIET * (ms * 4)


def test_audio_plays_at_once_and_at_8_khz() -> None:
    player = MediaPlayer(started_at=10.0)
    player.media(tone(100), now=10.5)
    assert player.buffered_s(now=10.5) == pytest.approx(0.1)
    assert player.buffered_s(now=10.56) == pytest.approx(0.04)
    assert player.buffered_s(now=11.0) == 0
    assert player.heard(now=11.0) == b"\xff" * 4000 + tone(100) + b"\xff" * 3200


def test_audio_that_comes_early_waits_its_turn() -> None:
    player = MediaPlayer(started_at=0.0)
    player.media(tone(100), now=1.0)
    player.media(tone(60), now=1.01)
    assert player.heard(now=1.16) == b"\xff" * 8000 + tone(160)
    assert player.gaps == []
    assert player.bursts == [Burst(1.0, 1.16, audible_at=1.0, audible_until=1.16)]


def test_a_mark_comes_back_when_everything_before_it_was_played() -> None:
    player = MediaPlayer(started_at=0.0)
    player.media(tone(100), now=1.0)
    assert player.mark("a", now=1.0) == ()
    player.media(tone(100), now=1.0)
    assert player.mark("b", now=1.05) == ()
    assert player.next_deadline() == pytest.approx(1.1)
    assert player.expire(now=1.0999) == ()
    assert player.expire(now=1.1) == ("a",)
    assert player.expire(now=1.3) == ("b",)
    assert player.next_deadline() is None


def test_a_mark_with_nothing_queued_comes_back_at_once() -> None:
    player = MediaPlayer(started_at=0.0)
    assert player.mark("a", now=0.0) == ("a",)
    player.media(tone(20), now=1.0)
    assert player.mark("b", now=2.0) == ("b",)


def test_clear_empties_the_queue_and_returns_every_pending_mark() -> None:
    player = MediaPlayer(started_at=0.0)
    player.media(tone(200), now=1.0)
    player.mark("a", now=1.0)
    player.media(tone(200), now=1.0)
    player.mark("b", now=1.0)
    assert player.clear(now=1.05) == ("a", "b")
    assert player.clears == [Cleared(1.05, 3200, 400)]
    assert player.buffered_s(now=1.05) == 0
    assert player.next_deadline() is None
    assert player.heard(now=2.0) == b"\xff" * 8000 + tone(50) + b"\xff" * 7600
    assert player.bursts == [Burst(1.0, 1.05, 1.0, 1.05, cut=True)]


def test_after_a_clear_the_next_audio_is_a_new_utterance() -> None:
    player = MediaPlayer(started_at=0.0)
    player.media(tone(200), now=1.0)
    player.clear(now=1.1)
    player.media(tone(20), now=1.2)
    assert [burst.starts_at for burst in player.bursts] == [1.0, 1.2]
    assert player.gaps == []


def test_an_utterance_cleared_before_it_was_audible_was_never_heard() -> None:
    player = MediaPlayer(started_at=0.0)
    player.media(quiet(100) + tone(100), now=1.0)
    assert player.bursts[0].audible_at == pytest.approx(1.1)
    player.clear(now=1.05)
    assert player.bursts == [Burst(1.0, 1.05, cut=True)]


@pytest.mark.parametrize(
    ("pause_s", "gaps", "bursts"),
    [
        (0.0005, [], 1),
        (0.05, [Gap(1.02, 0.05)], 1),
        (0.4, [Gap(1.02, 0.4)], 1),
        (0.41, [], 2),
    ],
)
def test_a_short_dry_queue_is_a_gap_and_a_long_one_ends_the_utterance(
    pause_s: float, gaps: list[Gap], bursts: int
) -> None:
    player = MediaPlayer(started_at=0.0)
    player.media(tone(20), now=1.0)
    player.media(tone(20), now=1.02 + pause_s)
    assert player.gaps == gaps
    assert len(player.bursts) == bursts


def test_the_first_audible_frame_is_found_behind_silence() -> None:
    player = MediaPlayer(started_at=0.0)
    player.media(quiet(60), now=1.0)
    assert player.bursts[0].audible_at is None
    player.media(quiet(40) + tone(30) + quiet(50), now=1.0)
    assert player.bursts[0].audible_at == pytest.approx(1.1)
    assert player.bursts[0].audible_until == pytest.approx(1.14)


def test_more_than_ten_minutes_of_queue_is_discarded_and_counted() -> None:
    player = MediaPlayer(started_at=0.0)
    for _ in range(601):
        player.media(tone(1000), now=0.0)
    assert player.buffered_s(now=0.0) == 600
    assert player.discarded_bytes == 8000
    player.media(tone(1000), now=0.5)
    assert player.discarded_bytes == 12_000
    assert len(player.received) == 602 * 8000


def test_every_byte_received_is_kept_in_order_whether_heard_or_not() -> None:
    player = MediaPlayer(started_at=0.0)
    player.media(b"abc", now=0.0)
    player.clear(now=0.0)
    player.media(b"defg", now=5.0)
    assert player.received == b"abcdefg"


def test_the_end_of_a_stream_drops_the_queue_without_counting_a_clear() -> None:
    player = MediaPlayer(started_at=0.0)
    player.media(tone(1000), now=0.0)
    player.mark("a", now=0.0)
    assert player.cut(now=0.25) == ("a",)
    assert player.clears == []
    assert len(player.heard(now=0.5)) == 4000
    assert player.heard(now=0.5)[:2000] == tone(250)


@pytest.mark.parametrize(
    ("payload", "start", "end"),
    [
        (b"", None, None),
        (quiet(20), None, None),
        (b"\xf0\x70" * 80, None, None),
        (b"\xff" * 200 + b"\x6f" + b"\xff" * 400, 160, 320),
        (b"\xff" * 200 + b"\xef", 160, 201),
    ],
)
def test_audible_means_above_the_lowest_step_of_mu_law(
    payload: bytes, start: int | None, end: int | None
) -> None:
    assert audible_start(payload) == start
    assert audible_end(payload) == end


def test_the_voice_is_what_was_heard_without_its_pauses() -> None:
    player = MediaPlayer(started_at=0.0)
    player.media(b"abc", now=0.0)
    player.media(tone(100), now=1.0)
    assert player.voice(now=1.0) == b"abc"
    player.clear(now=1.05)
    player.media(b"def", now=2.0)
    assert player.find(b"def", 0, now=2.0) == -1
    assert player.voice(now=3.0) == b"abc" + tone(50) + b"def"
    assert player.find(b"def", 0, now=3.0) == 403
    assert player.find(b"abc", 1, now=3.0) == -1


def test_a_clear_says_how_far_the_caller_had_heard() -> None:
    player = MediaPlayer(started_at=0.0)
    player.media(tone(100), now=1.0)
    player.clear(now=1.025)
    player.clear(now=1.05)
    player.media(tone(100), now=2.0)
    player.clear(now=2.075)
    assert player.clears == [
        Cleared(1.025, 800, 200),
        Cleared(1.05, 800, 800),
        Cleared(2.075, 1600, 1400),
    ]


def test_silence_is_not_audible() -> None:
    player = MediaPlayer(started_at=0.0)
    assert not player.is_audible(now=0.0)
    player.media(quiet(20) + tone(20) + quiet(20), now=1.0)
    assert [player.is_audible(now=at) for at in (1.01, 1.03, 1.05)] == [
        False,
        True,
        False,
    ]


def test_what_was_played_is_told_piece_by_piece() -> None:
    player = MediaPlayer(started_at=0.0)
    player.media(tone(30), now=1.0)
    assert player.played(8000, now=1.02) == tone(20)
    assert player.played(8160, now=1.04) == tone(10) + b"\xff" * 80
    assert player.played(8320, now=1.04) == b""
