"""How a call ends: by the model, by silence, by its length."""

import pytest

from tests.integration.conversations.conftest import OpenLine

GREETING = 'greeting = "Hello, and thank you for calling. How can I help you today?"\n'


async def test_the_model_hangs_up_after_its_last_word(answer: OpenLine) -> None:
    line = await answer(GREETING)
    result = await line.converse("""
[[caller]]
say = "caller-6"
[[caller]]
expect_heard = "goodbye-1"
[[caller]]
expect_end = "twiml"
[[model]]
speak = "goodbye-1"
calls = [{ name = "hang_up" }]
""")
    assert result.ok, result.problems
    assert result.call.unplayed_bytes_at_end == 0


async def test_a_caller_who_speaks_first_is_listened_to(answer: OpenLine) -> None:
    line = await answer(GREETING)
    result = await line.converse("""
[[caller]]
say = "caller-6"
[[caller]]
interrupt = "caller-4"
after_s = 4.0
[[caller]]
expect_heard = "reply-3"
[[caller]]
expect_tool = { name = "hang_up", times = 1, output_contains = "error" }
[[model]]
speak = "long-1"
calls = [{ name = "hang_up" }]
[[model]]
speak = "reply-3"
""")
    assert result.ok, result.problems


async def test_a_silent_caller_is_asked_twice_and_told_goodbye(
    answer: OpenLine,
) -> None:
    line = await answer(GREETING + "[profiles.desk.silence]\nafter_s = 1.0\n")
    result = await line.converse("""
[[caller]]
expect_heard = "silence-prompt"
[[caller]]
expect_heard = "silence-prompt"
[[caller]]
expect_heard = "silence-goodbye"
[[caller]]
expect_end = "twiml"
""")
    assert result.ok, result.problems
    assert result.heard.count("silence-prompt") == 2
    assert result.call.unplayed_bytes_at_end == 0


async def test_a_caller_who_answers_the_prompt_is_asked_anew(answer: OpenLine) -> None:
    line = await answer(GREETING + "[profiles.desk.silence]\nafter_s = 1.0\n")
    result = await line.converse("""
[[caller]]
expect_heard = "silence-prompt"
[[caller]]
say = "caller-4"
[[caller]]
expect_heard = "reply-3"
[[caller]]
expect_heard = "silence-prompt"
[[caller]]
expect_heard = "silence-prompt"
[[caller]]
expect_heard = "silence-goodbye"
[[caller]]
expect_end = "twiml"
[[model]]
speak = "reply-3"
""")
    assert result.ok, result.problems


async def test_a_long_call_is_warned_and_ends_with_a_goodbye(answer: OpenLine) -> None:
    line = await answer(
        GREETING + "[profiles.desk.length]\nmax_s = 9.0\nwarning_s = 4.0\n"
    )
    result = await line.converse("""
[[caller]]
expect_heard = "length-warning"
[[caller]]
expect_heard = "length-goodbye"
[[caller]]
expect_end = "twiml"
""")
    assert result.ok, result.problems
    assert result.call.unplayed_bytes_at_end == 0


@pytest.mark.parametrize("keys", ["42#", "7"])
async def test_keys_reach_the_model_as_text(answer: OpenLine, keys: str) -> None:
    line = await answer(GREETING)
    result = await line.converse(f"""
[[caller]]
press = "{keys}"
[[caller]]
expect_heard = "reply-1"
[[model]]
speak = "reply-1"
""")
    assert result.ok, result.problems
    (session,) = result.sessions
    texts = [
        part["text"]
        for item in session["items"]
        if item.get("role") == "user"
        for part in item["content"]
        if part["type"] == "input_text"
    ]
    assert len(texts) == 1
    assert texts[0].endswith(" ".join(keys))


async def test_a_flood_of_keys_is_one_message_and_the_call_goes_on(
    answer: OpenLine,
) -> None:
    line = await answer(GREETING)
    result = await line.converse(f"""
[[caller]]
press = "{"7" * 60}"
[[caller]]
expect_heard = "reply-1"
[[caller]]
say = "caller-4"
[[caller]]
expect_heard = "reply-3"
[[model]]
speak = "reply-1"
[[model]]
speak = "reply-3"
""")
    assert result.ok, result.problems
    assert line.agent.listener.counters.digits_dropped == 28
