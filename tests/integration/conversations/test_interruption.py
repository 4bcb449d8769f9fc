"""The caller speaks over the voice: it stops, and only what was heard is kept."""

from typing import Any

import pytest

from lab.scripted_call import ScriptResult
from tests.integration.conversations.conftest import OpenLine

BYTES_PER_MS = 8
TOLERANCE_MS = 1000
"""How late a busy machine may be; `bench/conversations.py` tells the precision."""

SERVER_VAD = '[profiles.desk.turn_detection]\ntype = "server_vad"\n'
SEMANTIC_VAD = '[profiles.desk.turn_detection]\ntype = "semantic_vad"\n'
MANUAL = SERVER_VAD + "interrupt_response = false\ncreate_response = false\n"
PATIENT = "caller_speaks_first = true\n"

OVER_THE_VOICE = """
[call]
waits_for_opening = false
[[caller]]
say = "caller-2"
[[caller]]
interrupt = "caller-stop"
after_s = 2.0
[[caller]]
expect_heard = "reply-1"
[[caller]]
say = "caller-6"
[[caller]]
expect_heard = "goodbye-1"
[[caller]]
expect_interrupted = true
[[model]]
speak = "long-1"
[[model]]
speak = "reply-1"
[[model]]
speak = "goodbye-1"
"""


def cut_items(result: ScriptResult) -> list[dict[str, Any]]:
    (session,) = result.sessions
    return [item for item in session["items"] if item.get("truncated_ms")]


@pytest.mark.parametrize(
    "turns", [SERVER_VAD, SEMANTIC_VAD, MANUAL], ids=["server", "semantic", "manual"]
)
async def test_the_conversation_keeps_what_was_heard(
    answer: OpenLine, turns: str
) -> None:
    line = await answer(PATIENT + turns)
    result = await line.converse(OVER_THE_VOICE)
    assert result.ok, result.problems
    (clear,) = [c for c in result.call.cleared if c.played_bytes < c.received_bytes]
    (item,) = cut_items(result)
    # Nothing was said before, so the item began with the first byte.
    heard_ms = clear.played_bytes / BYTES_PER_MS
    (kept_ms,) = item["truncated_ms"]
    received_ms = clear.received_bytes / BYTES_PER_MS
    assert abs(kept_ms - heard_ms) <= TOLERANCE_MS < (received_ms - heard_ms) / 4
    assert result.sessions[0]["errors"] == []


async def test_a_greeting_that_was_cut_is_remembered_as_far_as_heard(
    answer: OpenLine,
) -> None:
    line = await answer(
        'greeting = "Hello, and thank you for calling. How can I help you today?"'
    )
    result = await line.converse("""
[[caller]]
interrupt = "caller-4"
after_s = 1.0
[[caller]]
expect_heard = "reply-3"
[[model]]
speak = "reply-3"
""")
    assert result.ok, result.problems
    (session,) = result.sessions
    first = session["items"][0]["content"][0]["text"]
    assert first.startswith("Hello, and thank")
    assert "today" not in first


async def test_a_cough_does_not_cut_the_voice(answer: OpenLine) -> None:
    line = await answer(PATIENT + "min_interruption_ms = 400\n" + SERVER_VAD)
    result = await line.converse("""
[call]
waits_for_opening = false
[[caller]]
say = "caller-2"
[[caller]]
cough = 0.2
after_s = 1.0
[[caller]]
expect_heard = "long-1"
[[caller]]
expect_interrupted = false
[[caller]]
say = "caller-6"
[[caller]]
expect_heard = "goodbye-1"
[[model]]
speak = "long-1"
[[model]]
speak = "goodbye-1"
""")
    assert result.ok, result.problems
    assert line.agent.listener.counters.interruptions == 0


async def test_words_cut_it_even_if_coughs_do_not(answer: OpenLine) -> None:
    line = await answer(PATIENT + "min_interruption_ms = 300\n" + SERVER_VAD)
    result = await line.converse(OVER_THE_VOICE)
    assert result.ok, result.problems
    assert len(cut_items(result)) == 1
