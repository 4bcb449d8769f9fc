import pytest

from region_agent.core.two_tracks import TwoTracks


@pytest.fixture
def tracks() -> TwoTracks:
    return TwoTracks(now=100.0)


def test_the_voice_is_silent_until_there_is_one(tracks: TwoTracks) -> None:
    assert tracks.caller(b"\x01\x02") == b"\x01\xff\x02\xff"


def test_the_voice_waits_for_the_time_of_the_caller(tracks: TwoTracks) -> None:
    tracks.voice(b"\xa1\xa2\xa3")
    tracks.voice(b"")
    tracks.voice(b"\xa4\xa5")
    assert tracks.caller(b"\x01\x02") == b"\x01\xa1\x02\xa2"
    assert tracks.caller(b"\x03\x04") == b"\x03\xa3\x04\xa4"
    assert tracks.caller(b"\x05\x06") == b"\x05\xa5\x06\xff"
    tracks.voice(b"\xa6")
    assert tracks.caller(b"\x07\x08") == b"\x07\xa6\x08\xff"


def test_an_empty_frame_takes_no_time(tracks: TwoTracks) -> None:
    tracks.voice(b"\xa1")
    assert tracks.caller(b"") == b""
    assert tracks.caller(b"\x01") == b"\x01\xa1"


def test_what_was_not_heard_is_dropped(tracks: TwoTracks) -> None:
    tracks.voice(b"\xa1\xa2\xa3\xa4")
    tracks.voice(b"\xa5\xa6")
    tracks.caller(b"\x01")
    tracks.cleared(position=6, heard=3)
    assert tracks.caller(b"\x02\x03\x04") == b"\x02\xa2\x03\xa3\x04\xff"


def test_what_was_heard_plays_to_its_end(tracks: TwoTracks) -> None:
    tracks.voice(b"\xa1\xa2")
    tracks.voice(b"\xa3\xa4")
    tracks.cleared(position=4, heard=2)
    assert tracks.caller(b"\x01\x02\x03") == b"\x01\xa1\x02\xa2\x03\xff"


def test_what_is_recorded_already_stays(tracks: TwoTracks) -> None:
    tracks.voice(b"\xa1\xa2\xa3\xa4")
    assert tracks.caller(b"\x01\x02") == b"\x01\xa1\x02\xa2"
    tracks.cleared(position=4, heard=1)
    assert tracks.caller(b"\x03") == b"\x03\xff"


def test_voice_that_came_after_the_clear_is_kept(tracks: TwoTracks) -> None:
    tracks.voice(b"\xa1\xa2\xa3")
    tracks.voice(b"\xb1\xb2")
    tracks.voice(b"\xc1")
    tracks.cleared(position=4, heard=1)  # in the middle of the second
    assert tracks.caller(b"\x01\x02\x03") == b"\x01\xa1\x02\xb2\x03\xc1"


def test_one_piece_can_lose_its_middle(tracks: TwoTracks) -> None:
    tracks.voice(b"\xa1\xa2\xa3\xa4\xa5")
    tracks.cleared(position=4, heard=1)
    assert tracks.caller(b"\x01\x02\x03") == b"\x01\xa1\x02\xa5\x03\xff"


def test_positions_count_what_was_dropped(tracks: TwoTracks) -> None:
    tracks.voice(b"\xa1\xa2\xa3\xa4")
    tracks.cleared(position=4, heard=2)
    tracks.voice(b"\xb5\xb6\xb7")
    tracks.cleared(position=7, heard=5)
    assert tracks.caller(b"\x01\x02\x03\x04") == b"\x01\xa1\x02\xa2\x03\xb5\x04\xff"


def test_more_heard_than_was_sent_drops_nothing(tracks: TwoTracks) -> None:
    tracks.voice(b"\xa1\xa2\xa3")
    tracks.cleared(position=2, heard=9)
    assert tracks.caller(b"\x01\x02\x03") == b"\x01\xa1\x02\xa2\x03\xa3"


def test_frames_may_come_a_second_late(tracks: TwoTracks) -> None:
    tracks.voice(b"\xa1")
    assert tracks.gap(now=101.0) == (b"", 0)
    assert tracks.gap(now=102.0) == (b"", 0)
    assert tracks.caller(b"\x01") == b"\x01\xa1"


def test_a_long_pause_is_silent_on_both_sides(tracks: TwoTracks) -> None:
    tracks.caller(bytes(800))
    assert tracks.gap(now=100.1) == (b"", 0)
    assert tracks.gap(now=102.1) == (b"", 16_000)
    assert tracks.gap(now=102.1) == (b"", 0)


def test_the_voice_goes_on_in_a_pause(tracks: TwoTracks) -> None:
    tracks.voice(b"\xa1\xa2")
    assert tracks.gap(now=102.0) == (b"\xff\xa1\xff\xa2", 15_998)
    assert tracks.caller(b"\x01") == b"\x01\xff"


def test_voice_longer_than_the_pause_goes_on_after_it(tracks: TwoTracks) -> None:
    tracks.voice(b"\xa1" * 16_000 + b"\xa2")
    assert tracks.gap(now=102.0) == (b"\xff\xa1" * 16_000, 0)
    assert tracks.caller(b"\x01") == b"\x01\xa2"


def test_frames_ahead_of_time_make_up_for_a_pause(tracks: TwoTracks) -> None:
    tracks.caller(bytes(24_000))
    assert tracks.gap(now=102.0) == (b"", 0)
    assert tracks.gap(now=104.0) == (b"", 8000)
