"""The steps of one stand-in call: what the caller saw, and what the edge tells."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import aiohttp
import msgspec

from backhaul.clock import monotonic_s
from lab.twilio_report import CallReport
from lab.waterfall import Step

__all__ = ["ask_timeline", "setup_of", "talk_of"]

_WAIT_S: Final = 3.0
"""An edge may hear of a call's end a little later than the caller."""
_POLL_S: Final = 0.05
_BELOW_WEBHOOK: Final = frozenset({"route", "lease"})
_NOTES: Final = ("region", "outcome", "source", "reason")
_MS_PER_S: Final = 1000


def setup_of(
    report: CallReport, timeline: Sequence[Mapping[str, Any]]
) -> Iterator[Step]:
    """Yield what happened until the conversation began, in ms since the call did.

    Args:
        report: The call as its caller saw it.
        timeline: As the edge tells it, in milliseconds since its webhook; empty when
            it cannot be asked. The way there counts as nothing.
    """
    if report.webhook_ms is not None:
        yield Step("webhook, as asked", 0.0, report.webhook_ms)
    for told in timeline:
        if told["leg"] == 1:
            yield _step(told)


def talk_of(
    report: CallReport, timeline: Sequence[Mapping[str, Any]]
) -> Iterator[Step]:
    """Yield what happened in the conversation; see `setup_of`."""
    yield Step("call", 0.0, report.duration_s * _MS_PER_S)
    for told in timeline:
        if told["leg"] > 1:
            yield _step(told)
    for number, turn in enumerate(report.turns, start=1):
        said_ms = turn.said_ended_at_ms
        if said_ms is None:
            continue
        yield Step(f"caller speaks, {number}", turn.said_at_ms, said_ms, 1)
        reply_ms = turn.reply_first_audio_ms
        if reply_ms is not None and reply_ms > 0:
            yield Step(f"until the reply, {number}", said_ms, said_ms + reply_ms, 1)


def _step(told: Mapping[str, Any]) -> Step:
    depth = 2 if told["name"] in _BELOW_WEBHOOK else 1
    note = " ".join(str(told[name]) for name in _NOTES if told.get(name))
    return Step(told["name"], told["start_ms"], told["end_ms"], depth, note)


async def ask_timeline(
    admin_url: str, token: str, call_sid: str
) -> list[dict[str, Any]]:
    """Return what the edge at *admin_url* tells of an ended call; empty: nothing."""
    timeout = aiohttp.ClientTimeout(total=_WAIT_S)
    headers = {"Authorization": f"Bearer {token}"}
    give_up_at = monotonic_s() + _WAIT_S
    try:
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as http:
            while monotonic_s() < give_up_at:
                for call in await _ended_calls(http, admin_url):
                    if call.get("call_sid") == call_sid:
                        return list(call.get("timeline", ()))
                await asyncio.sleep(_POLL_S)
    except (aiohttp.ClientError, TimeoutError, OSError, msgspec.MsgspecError):
        pass
    return []


async def _ended_calls(http: aiohttp.ClientSession, base: str) -> list[dict[str, Any]]:
    async with http.get(f"{base}/api/calls") as response:
        response.raise_for_status()
        known = msgspec.json.decode(await response.read(), type=dict[str, Any])
    # An edge of several processes tells of each.
    parts = known.get("workers", [known])
    return [call for part in parts for call in part.get("recent", ())]
