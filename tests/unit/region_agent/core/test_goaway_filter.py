"""Frames pass the filter whole and in order; polite farewells do not."""

import pytest

from region_agent.core.goaway_filter import GoawayFilter


def frame(kind: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, 0, 0, 0, 0, 1)) + payload


def goaway(error: int, debug: bytes = b"") -> bytes:
    payload = (7).to_bytes(4, "big") + error.to_bytes(4, "big") + debug
    return frame(7, payload)


DATA, SETTINGS = frame(0, b"x" * 300), frame(4, b"")


def test_other_frames_pass_untouched() -> None:
    frames = GoawayFilter()
    assert frames.feed(SETTINGS + DATA) == SETTINGS + DATA
    assert not frames.going_away


@pytest.mark.parametrize("size", [1, 5, 9, 16, 17, 1000])
@pytest.mark.parametrize("farewell", [goaway(0), goaway(0, b"bye" * 20)])
def test_a_farewell_is_taken_out_whatever_the_pieces(
    size: int, farewell: bytes
) -> None:
    frames = GoawayFilter()
    sent = SETTINGS + DATA + farewell + DATA
    pieces = [sent[start : start + size] for start in range(0, len(sent), size)]
    assert b"".join(frames.feed(piece) for piece in pieces) == SETTINGS + DATA + DATA
    assert frames.going_away


def test_an_error_is_passed_on() -> None:
    frames = GoawayFilter()
    assert frames.feed(goaway(2) + DATA) == goaway(2) + DATA
    assert frames.going_away


def test_a_malformed_farewell_is_passed_on() -> None:
    frames = GoawayFilter()
    short = frame(7, b"1234")
    assert frames.feed(short) == short
    assert not frames.going_away
