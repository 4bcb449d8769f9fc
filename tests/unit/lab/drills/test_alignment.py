"""Where a session's ears were in what the caller said."""

from lab.drills.alignment import FRAME_BYTES, align, uncovered

SILENCE = b"\xff" * FRAME_BYTES


def frames(*numbers: int) -> bytes:
    """Return frames that differ; 255 is silence."""
    return b"".join(bytes([number]) * FRAME_BYTES for number in numbers)


SENT = frames(255, 255, 1, 2, 3, 255, 255, 4, 5, 6, 255)


def span(begin: int, end: int) -> tuple[int, int]:
    return begin * FRAME_BYTES, end * FRAME_BYTES


def test_what_was_heard_whole_is_one_span() -> None:
    assert align(SENT, SENT).spans == (span(0, 11),)
    assert align(SENT, frames(2, 3, 255, 255, 4)).spans == (span(3, 8),)


def test_who_heard_nothing_has_no_span() -> None:
    found = align(SENT, b"")
    assert (found.spans, found.strange_frames, found.end) == ((), 0, 0)


def test_silence_is_where_it_is_expected() -> None:
    silence = frames(255, 255)
    assert align(SENT, silence, near=0).spans == (span(0, 2),)
    assert align(SENT, silence, near=5 * FRAME_BYTES).spans == (span(5, 7),)


def test_holes_are_left_out() -> None:
    found = align(SENT, frames(255, 1, 3, 255, 255, 4, 6))
    assert found.spans == (span(1, 3), span(4, 8), span(9, 10))
    assert found.strange_frames == 0
    assert found.end == 10 * FRAME_BYTES


def test_what_was_never_said_is_strange() -> None:
    assert align(SENT, frames(1, 9, 2, 3)).strange_frames == 1
    assert align(SENT, frames(9, 9)).strange_frames == 2


def test_what_comes_twice_or_out_of_order_is_strange() -> None:
    assert align(SENT, frames(1, 2, 3, 2, 3, 255)).strange_frames == 2
    assert align(SENT, frames(4, 5, 1, 2, 6)).strange_frames == 2


def test_silence_before_the_first_sound_that_cannot_be_is_strange() -> None:
    assert align(frames(1, 2), frames(255, 1, 2)).strange_frames == 1


def test_what_no_span_covers_is_counted() -> None:
    assert uncovered([], until=100) == 100
    assert uncovered([(0, 100)], until=100) == 0
    assert uncovered([(60, 80), (0, 50)], until=100) == 30
    assert uncovered([(0, 70), (50, 90)], until=80) == 0
    assert uncovered([(20, 30), (90, 95)], until=60) == 50


def test_silence_that_is_far_away_proves_nothing() -> None:
    speech = [1 + n for n in range(60)]
    sent = frames(1, 2, *speech, 255)
    found = align(sent, frames(1, 2, 1, 3, 255, 4))
    assert found.end == 6 * FRAME_BYTES
    assert found.strange_frames == 0
