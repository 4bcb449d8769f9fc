"""Spoken calls to a local fabric, for benches that look at what they cost or meet."""

import asyncio
import random
from typing import Final

from lab.fabric import Fabric
from lab.speech_files import caller_lines
from lab.twilio import CallPlan, CallReport, Turn, TwilioStandIn

__all__ = ["place_calls"]

SPREAD_S: Final = 4.0
"""The calls begin within this time."""


async def place_calls(fabric: Fabric, calls: int, *, turns: int) -> list[CallReport]:
    """Have *calls* callers say *turns* lines each to the first edge; return all calls.

    They are the same calls every time.
    """
    carrier = TwilioStandIn(fabric.account_sid, fabric.auth_token)
    rng = random.Random(1)  # noqa: S311 - repeatable
    url = fabric.public_url(fabric.edges[0])
    lines = caller_lines()

    async def place(number: int) -> CallReport:
        await asyncio.sleep(rng.uniform(0, SPREAD_S))
        said = (lines[(number + turn) % len(lines)] for turn in range(turns))
        plan = CallPlan(
            webhook_url=f"{url}/twilio/voice",
            status_callback=f"{url}/twilio/status",
            from_number="+14155550123",
            to_number="+14155550100",
            steps=tuple(Turn(line.audio) for line in said),
        )
        return await carrier.place_call(plan)

    try:
        return await asyncio.gather(*(place(number) for number in range(calls)))
    finally:
        await carrier.aclose()
