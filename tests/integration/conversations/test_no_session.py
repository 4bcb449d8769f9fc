"""Calls while the model's servers are down, over real services from end to end."""

import asyncio
from collections.abc import Callable

import pytest

from lab.realtime_faults import Fault
from lab.telephone_line import TelephoneLine
from tests.integration.conversations.conftest import OpenLine

GREETING = 'greeting = "Hello, and thank you for calling. How can I help you today?"\n'
SCRIPT = """
warm_sessions = 1
[profiles.desk.fallback]
script = "Our time is up. Thank you for calling. Goodbye."
"""
"""Words that the stand-in of the model can speak."""


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def lose_all_sessions(line: TelephoneLine) -> None:
    line.model.strike(Fault.EXPIRE_NOW, 20)
    known = line.edge.links.agents.values()
    await eventually(lambda: not any(one.stock.warm("desk") for one in known))


def placed(line: TelephoneLine, step: str) -> float:
    name, labels = "edge_calls_placed_total", {"step": step}
    return line.edge.metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.mark.timeout(120)
async def test_the_script_is_heard_in_the_voice_of_the_profile(
    answer: OpenLine,
) -> None:
    line = await answer(GREETING + SCRIPT)
    await eventually(lambda: bool(line.edge.links.phrasebook.scripts))
    line.model.faults.plan(Fault.SERVER_ERROR, count=100_000, seconds=0)
    await lose_all_sessions(line)
    result = await line.converse("""
[[caller]]
expect_heard = "length-goodbye"
[[caller]]
expect_end = "twiml"
""")
    assert result.ok, result.problems
    assert result.call.unplayed_bytes_at_end == 0
    assert placed(line, "script") == 1


@pytest.mark.timeout(120)
async def test_a_session_is_opened_while_the_greeting_plays(answer: OpenLine) -> None:
    line = await answer(GREETING + SCRIPT)
    line.model.faults.plan(Fault.RATE_LIMITED, count=1, seconds=1)
    await lose_all_sessions(line)
    result = await line.converse("""
[[caller]]
expect_heard = "greeting"
[[caller]]
say = "caller-4"
[[caller]]
expect_heard = "reply-3"
[[model]]
speak = "reply-3"
""")
    assert result.ok, result.problems
    assert placed(line, "cold") + placed(line, "warm") == 1


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("outcome", "status"), [("answered", "completed"), ("busy", "busy")]
)
async def test_a_human_is_rung_after_the_script(
    answer: OpenLine, outcome: str, status: str
) -> None:
    line = await answer(GREETING + SCRIPT + 'dial = "+14155550199"\n')
    await eventually(lambda: bool(line.edge.links.phrasebook.scripts))
    line.model.faults.plan(Fault.SERVER_ERROR, count=100_000, seconds=0)
    await lose_all_sessions(line)
    result = await line.converse(f"""
[call]
dial = {{ outcome = "{outcome}", after_s = 0.3, talk_s = 0.5 }}
[[caller]]
expect_heard = "length-goodbye"
[[caller]]
expect_verb = "Dial +14155550199"
[[caller]]
expect_end = "twiml"
""")
    assert result.ok, result.problems
    (transfer,) = result.call.transfers
    assert transfer.status == status
    assert result.call.errors == ()
    assert placed(line, "dial") == 1
