"""What responses cost: the token counts a Realtime server reports, and their price.

Source: ``usage`` of ``response.done`` in the Realtime API, OpenAI's price list.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final

import msgspec
from msgspec import Meta

__all__ = [
    "DEFAULT_PRICES",
    "CachedTokensDetails",
    "InputTokenDetails",
    "ModelPrices",
    "OutputTokenDetails",
    "ResponseUsage",
    "UsageTotals",
    "cost_nano_usd",
]

_NANO_USD_PER_TOKEN: Final = 1000
"""A dollar per million tokens, as billionths of a dollar per token."""

_Price = Annotated[float, Meta(ge=0, le=1_000_000)]


class CachedTokensDetails(msgspec.Struct, frozen=True):
    """Input tokens that were cached, by kind."""

    text_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class InputTokenDetails(msgspec.Struct, frozen=True):
    """Input tokens by kind; the cached ones are part of each kind."""

    text_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    cached_tokens: int | None = None
    cached_tokens_details: CachedTokensDetails | None = None


class OutputTokenDetails(msgspec.Struct, frozen=True):
    """Output tokens by kind."""

    text_tokens: int | None = None
    audio_tokens: int | None = None


class ResponseUsage(msgspec.Struct, frozen=True):
    """The ``usage`` of one response; whatever the server leaves out is None."""

    total_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_token_details: InputTokenDetails | None = None
    output_token_details: OutputTokenDetails | None = None


class UsageTotals(msgspec.Struct, frozen=True):
    """Token counts of any number of responses."""

    total_tokens: int = 0
    text_in: int = 0
    """Cached ones included; so is it with `audio_in`."""
    audio_in: int = 0
    cached_text_in: int = 0
    cached_audio_in: int = 0
    text_out: int = 0
    audio_out: int = 0
    unpriced: int = 0
    """Tokens reported without their kind, or of one that has no price here."""

    def plus(self, usage: ResponseUsage) -> "UsageTotals":
        """Return these totals and one more response."""
        more = _totals(usage)
        return UsageTotals(
            *(
                getattr(self, name) + getattr(more, name)
                for name in self.__struct_fields__
            )
        )


def _totals(usage: ResponseUsage) -> UsageTotals:
    given = usage.input_token_details or InputTokenDetails()
    cached = given.cached_tokens_details or CachedTokensDetails()
    made = usage.output_token_details or OutputTokenDetails()
    text_in, audio_in = _count(given.text_tokens), _count(given.audio_tokens)
    text_out, audio_out = _count(made.text_tokens), _count(made.audio_tokens)
    known_in = text_in + audio_in
    known_out = text_out + audio_out
    images = _count(given.image_tokens)
    tokens_in = max(_count(usage.input_tokens), known_in + images)
    tokens_out = max(_count(usage.output_tokens), known_out)
    cached_text = min(_count(cached.text_tokens), text_in)
    cached_audio = min(_count(cached.audio_tokens), audio_in)
    cached_images = min(_count(cached.image_tokens), images)
    # What was cached is cheaper by far, so it matters which kind it was.
    cached_unknown = (
        _count(given.cached_tokens) - cached_text - cached_audio - cached_images
    )
    return UsageTotals(
        total_tokens=max(_count(usage.total_tokens), tokens_in + tokens_out),
        text_in=text_in,
        audio_in=audio_in,
        cached_text_in=cached_text,
        cached_audio_in=cached_audio,
        text_out=text_out,
        audio_out=audio_out,
        unpriced=(tokens_in - known_in)
        + (tokens_out - known_out)
        + max(cached_unknown, 0),
    )


def _count(tokens: int | None) -> int:
    return max(tokens or 0, 0)


class ModelPrices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a model costs, in dollars per million tokens."""

    text_in: _Price
    cached_text_in: _Price
    text_out: _Price
    audio_in: _Price
    cached_audio_in: _Price
    audio_out: _Price

    def problems(self) -> tuple[str, ...]:
        """Return one line per value that cannot be used."""
        return tuple(
            f"{name}: not a whole number of thousandths of a dollar"
            for name in self.__struct_fields__
            if not _is_exact(getattr(self, name))
        )


def _is_exact(price: float) -> bool:
    nano_usd = price * _NANO_USD_PER_TOKEN
    return math.isfinite(nano_usd) and math.isclose(nano_usd, round(nano_usd))


DEFAULT_PRICES: Final[Mapping[str, ModelPrices]] = MappingProxyType(
    {
        "gpt-realtime-2.1": ModelPrices(
            text_in=4.0,
            cached_text_in=0.40,
            text_out=24.0,
            audio_in=32.0,
            cached_audio_in=0.40,
            audio_out=64.0,
        ),
        "gpt-realtime-2.1-mini": ModelPrices(
            text_in=0.60,
            cached_text_in=0.06,
            text_out=2.40,
            audio_in=10.0,
            cached_audio_in=0.30,
            audio_out=20.0,
        ),
    }
)
"""Prices by the model's name. Source: OpenAI's price list, 2026."""


def cost_nano_usd(totals: UsageTotals, prices: ModelPrices | None) -> int | None:
    """Return what *totals* cost, in billionths of a dollar and exactly.

    None means unknown: the model has no *prices*, or some tokens have none.
    """
    if prices is None or totals.unpriced:
        return None
    tokens = (
        (totals.text_in - totals.cached_text_in, prices.text_in),
        (totals.cached_text_in, prices.cached_text_in),
        (totals.text_out, prices.text_out),
        (totals.audio_in - totals.cached_audio_in, prices.audio_in),
        (totals.cached_audio_in, prices.cached_audio_in),
        (totals.audio_out, prices.audio_out),
    )
    return sum(count * round(price * _NANO_USD_PER_TOKEN) for count, price in tokens)
