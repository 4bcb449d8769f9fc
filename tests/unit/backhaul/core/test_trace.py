"""Trace contexts: as W3C writes them, and who is sampled."""

import pytest

from backhaul.core.trace import SpanContext, is_sampled, parse_traceparent

TRACE, SPAN = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
HEADER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_context_is_written_as_w3c_has_it() -> None:
    assert SpanContext(TRACE, SPAN, sampled=True).traceparent() == HEADER
    unsampled = SpanContext(TRACE, SPAN, sampled=False)
    assert unsampled.traceparent() == HEADER[:-1] + "0"


def test_flags_are_bits() -> None:
    random_too = parse_traceparent(HEADER[:-2] + "03")
    assert random_too == SpanContext(TRACE, SPAN, sampled=True)
    only_random = parse_traceparent(HEADER[:-2] + "02")
    assert only_random == SpanContext(TRACE, SPAN, sampled=False)


def test_a_newer_version_may_say_more() -> None:
    newer = parse_traceparent("01" + HEADER[2:] + "-what-comes-later")
    assert newer == SpanContext(TRACE, SPAN, sampled=True)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        HEADER + "-more",
        HEADER + "\n",
        "ff" + HEADER[2:],
        HEADER.upper(),
        HEADER.replace("b7ad6b7169203331", "0" * 16),
        HEADER.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32),
        HEADER.replace("-01", "-0"),
    ],
)
def test_what_is_no_context(header: str) -> None:
    assert parse_traceparent(header) is None


def test_the_ratio_decides_by_the_lower_half_of_the_identifier() -> None:
    half = 1 << 63
    assert is_sampled(half - 1, 0.5)
    assert not is_sampled(half, 0.5)
    assert is_sampled((1 << 127) | (half - 1), 0.5)
    assert is_sampled((1 << 64) - 1, 1.0)
    assert not is_sampled(1 << 64, 0.0)
