"""Usage and cost against the Realtime stand-in's ledger and the official types."""

import asyncio
import json
from dataclasses import replace
from fractions import Fraction
from typing import Any

import msgspec
import pybase64
import pytest
from openai.types.realtime import (
    RealtimeResponseUsage,
    RealtimeResponseUsageInputTokenDetails,
    RealtimeResponseUsageOutputTokenDetails,
)
from openai.types.realtime.realtime_response_usage_input_token_details import (
    CachedTokensDetails as OfficialCachedTokensDetails,
)
from pydantic import BaseModel
from websockets.asyncio.client import ClientConnection, connect

from backhaul.core.messages import CloseReason
from lab.realtime import RealtimeLatency, RealtimeServer, RealtimeServerSettings
from lab.speech_files import greeting_line
from region_agent.core.call_record import CallRecord
from region_agent.core.usage import (
    DEFAULT_PRICES,
    CachedTokensDetails,
    InputTokenDetails,
    OutputTokenDetails,
    ResponseUsage,
)

Json = dict[str, Any]
FAST = replace(RealtimeLatency.none(), audio_speed=1000.0)

# Dollars per million tokens: text in, cached, out; audio in, cached, out.
PRICE_LIST = {
    "gpt-realtime-2.1": ("4", "0.40", "24", "32", "0.40", "64"),
    "gpt-realtime-2.1-mini": ("0.60", "0.06", "2.40", "10", "0.30", "20"),
}


def dollars(usage: list[Json], model: str) -> Fraction:
    """Return what a ledger costs, by the price list and with fractions."""
    text_in, cached_text, text_out, audio_in, cached_audio, audio_out = (
        Fraction(price) / 1_000_000 for price in PRICE_LIST[model]
    )
    total = Fraction(0)
    for entry in usage:
        given, made = entry["input_token_details"], entry["output_token_details"]
        cached = given["cached_tokens_details"]
        total += (given["text_tokens"] - cached["text_tokens"]) * text_in
        total += (given["audio_tokens"] - cached["audio_tokens"]) * audio_in
        total += cached["text_tokens"] * cached_text
        total += cached["audio_tokens"] * cached_audio
        total += made["text_tokens"] * text_out + made["audio_tokens"] * audio_out
    return total


async def next_event(connection: ClientConnection, kind: str) -> Json:
    async with asyncio.timeout(20):
        while True:
            event: Json = json.loads(await connection.recv())
            if event["type"] == kind:
                return event


async def send(connection: ClientConnection, **event: Any) -> None:
    await connection.send(json.dumps(event))


async def converse(connection: ClientConnection, record: CallRecord) -> None:
    """Speak and be answered, often enough for the context to be cached."""
    audio = {"input": {"format": {"type": "audio/pcmu"}, "turn_detection": None}}
    session = {"type": "realtime", "instructions": "Be kind. " * 60, "audio": audio}
    await send(connection, type="session.update", session=session)
    await next_event(connection, "session.updated")
    spoken = pybase64.b64encode(greeting_line().audio).decode()
    for turn in range(8):
        await send(connection, type="input_audio_buffer.append", audio=spoken)
        await send(connection, type="input_audio_buffer.commit")
        await send(connection, type="response.create")
        if turn % 3 == 2:
            await next_event(connection, "response.output_audio.delta")
            await send(connection, type="response.cancel")
        response = (await next_event(connection, "response.done"))["response"]
        usage = msgspec.convert(response["usage"], ResponseUsage)
        record.response_done(response["status"], usage)


@pytest.mark.parametrize("model", sorted(PRICE_LIST))
async def test_totals_and_cost_equal_what_the_ledger_adds_up_to(model: str) -> None:
    call = CallRecord(model=model, prices=DEFAULT_PRICES[model], started_at=0.0)
    key = {"Authorization": "Bearer sk-lab"}
    async with RealtimeServer(RealtimeServerSettings(latency=FAST)) as server:
        url = f"{server.url}?model={model}"
        async with connect(url, additional_headers=key) as connection:
            await converse(connection, call)
        (record,) = server.sessions
    call.ended(CloseReason.CALLER_HUNG_UP, now=1.0)
    summary = call.summary(now=1.0)
    assert summary.model_responses == len(record.usage) == 8
    totals = summary.usage
    assert totals.total_tokens == sum(usage["total_tokens"] for usage in record.usage)
    assert totals.cached_text_in + totals.cached_audio_in == sum(
        usage["input_token_details"]["cached_tokens"] for usage in record.usage
    )
    assert min(totals.cached_text_in, totals.cached_audio_in, totals.audio_out) > 0
    assert summary.cost_nano_usd == dollars(record.usage, model) * 10**9


@pytest.mark.parametrize(
    ("ours", "official"),
    [
        (ResponseUsage, RealtimeResponseUsage),
        (InputTokenDetails, RealtimeResponseUsageInputTokenDetails),
        (CachedTokensDetails, OfficialCachedTokensDetails),
        (OutputTokenDetails, RealtimeResponseUsageOutputTokenDetails),
    ],
)
def test_usage_has_the_fields_of_the_official_types(
    ours: type[msgspec.Struct], official: type[BaseModel]
) -> None:
    assert set(ours.__struct_fields__) == set(official.model_fields)
