"""A carrier that stops reading for a while: the caller hears all of it afterwards."""

from tests.integration.conversations.conftest import OpenLine


async def test_the_voice_waits_for_the_carrier(answer: OpenLine) -> None:
    line = await answer("caller_speaks_first = true\n")
    result = await line.converse("""
[call]
waits_for_opening = false
reply_timeout_s = 30.0
read_pause = { from_s = 2.0, for_s = 6.0 }
[[caller]]
say = "caller-2"
[[caller]]
expect_heard = "long-1"
[[caller]]
hang_up = true
[[model]]
speak = ["long-1", "long-1", "long-1"]
""")
    assert result.ok, result.problems
    assert line.agent.listener.counters.audio_overflowed_bytes == 0
