"""Totals and costs, to the billionth of a dollar."""

import msgspec
import pytest

from region_agent.core.usage import (
    DEFAULT_PRICES,
    CachedTokensDetails,
    InputTokenDetails,
    ModelPrices,
    OutputTokenDetails,
    ResponseUsage,
    UsageTotals,
    cost_nano_usd,
)

LARGE = DEFAULT_PRICES["gpt-realtime-2.1"]
MINI = DEFAULT_PRICES["gpt-realtime-2.1-mini"]

WIRE = b"""{
  "total_tokens": 253, "input_tokens": 132, "output_tokens": 121,
  "input_token_details": {
    "text_tokens": 119, "audio_tokens": 13, "image_tokens": 0, "cached_tokens": 64,
    "cached_tokens_details": {"text_tokens": 60, "audio_tokens": 4, "image_tokens": 0}
  },
  "output_token_details": {"text_tokens": 30, "audio_tokens": 91}
}"""
TOTALS = UsageTotals(
    total_tokens=253,
    text_in=119,
    audio_in=13,
    cached_text_in=60,
    cached_audio_in=4,
    text_out=30,
    audio_out=91,
)


def totals_of(usage: ResponseUsage) -> UsageTotals:
    return UsageTotals().plus(usage)


def test_what_the_server_reports_is_counted_by_kind() -> None:
    usage = msgspec.json.decode(WIRE, type=ResponseUsage)
    assert totals_of(usage) == TOTALS
    twice = totals_of(usage).plus(usage)
    assert (twice.total_tokens, twice.cached_audio_in) == (506, 8)


def test_a_cost_is_exact() -> None:
    text_in, audio_in, out = 59 * 4_000 + 60 * 400, 9 * 32_000 + 4 * 400, 30 * 24_000
    assert cost_nano_usd(TOTALS, LARGE) == text_in + audio_in + out + 91 * 64_000
    text_in, audio_in, out = 59 * 600 + 60 * 60, 9 * 10_000 + 4 * 300, 30 * 2_400
    assert cost_nano_usd(TOTALS, MINI) == text_in + audio_in + out + 91 * 20_000


def test_nothing_costs_nothing_but_an_unknown_price_is_unknown() -> None:
    assert cost_nano_usd(UsageTotals(), LARGE) == 0
    assert cost_nano_usd(UsageTotals(), DEFAULT_PRICES.get("another")) is None


@pytest.mark.parametrize(
    "wire",
    [
        b"{}",
        b'{"total_tokens": null, "input_token_details": null}',
        b'{"input_tokens": null, "output_tokens": null, "output_token_details": null}',
        b'{"input_token_details":{"cached_tokens_details":null,"text_tokens":null}}',
    ],
)
def test_whatever_is_absent_or_null_counts_nothing(wire: bytes) -> None:
    assert totals_of(msgspec.json.decode(wire, type=ResponseUsage)) == UsageTotals()


def test_without_totals_they_are_the_sum_of_the_kinds() -> None:
    usage = ResponseUsage(
        input_token_details=InputTokenDetails(text_tokens=1, audio_tokens=2),
        output_token_details=OutputTokenDetails(text_tokens=4, audio_tokens=8),
    )
    assert totals_of(usage).total_tokens == 15
    assert totals_of(usage).unpriced == 0


@pytest.mark.parametrize(
    ("usage", "unpriced"),
    [
        (ResponseUsage(input_tokens=7), 7),
        (ResponseUsage(output_tokens=7), 7),
        (ResponseUsage(input_token_details=InputTokenDetails(image_tokens=7)), 7),
        (
            ResponseUsage(
                input_token_details=InputTokenDetails(audio_tokens=9, cached_tokens=7)
            ),
            7,
        ),
    ],
)
def test_tokens_of_no_known_kind_make_the_cost_unknown(
    usage: ResponseUsage, unpriced: int
) -> None:
    totals = totals_of(usage)
    assert totals.unpriced == unpriced
    assert cost_nano_usd(totals, LARGE) is None


def test_impossible_counts_never_make_a_negative_cost() -> None:
    usage = ResponseUsage(
        input_token_details=InputTokenDetails(
            text_tokens=-5,
            audio_tokens=2,
            cached_tokens=1,
            cached_tokens_details=CachedTokensDetails(text_tokens=9, audio_tokens=3),
        )
    )
    totals = totals_of(usage)
    assert (totals.cached_text_in, totals.cached_audio_in) == (0, 2)
    assert cost_nano_usd(totals, LARGE) == 2 * 400


@pytest.mark.parametrize("prices", [LARGE, MINI])
def test_known_prices_have_no_problems(prices: ModelPrices) -> None:
    assert prices.problems() == ()


@pytest.mark.parametrize("price", [0.0005, float("nan")])
def test_a_price_that_cannot_be_counted_exactly_is_refused(price: float) -> None:
    prices = msgspec.structs.replace(MINI, audio_out=price)
    (problem,) = prices.problems()
    assert problem.startswith("audio_out: ")


def test_prices_are_a_settings_value() -> None:
    given = dict.fromkeys(ModelPrices.__struct_fields__, 1.5)
    assert msgspec.convert(given, ModelPrices).audio_out == 1.5
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**given, "audio_out": -1.0}, ModelPrices)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"audio_out": 1.0}, ModelPrices)
