"""A recorded call: announced, both sides on their own track, as heard."""

import asyncio
import subprocess
from pathlib import Path

from backhaul.core.g711 import decode
from lab.speech_files import load_line
from tests.integration.conversations.conftest import OpenLine
from tests.integration.judges import installed

PROFILE = """
greeting = "Hello, and thank you for calling. How can I help you today?"
[profiles.desk.recording]
to = "recordings"
format = "wav"
announcement = "This call is recorded."
"""


def judged(path: Path, option: str) -> str:
    """Return what sox says about a recording."""
    command = [installed("soxi", package="sox"), option, str(path)]
    done = subprocess.run(  # noqa: S603 - a name of our own
        command, check=True, capture_output=True, text=True
    )
    return done.stdout


async def wait_for_recording(directory: Path) -> Path:
    async with asyncio.timeout(30):
        while True:
            found = await asyncio.to_thread(lambda: list(directory.glob("*.wav")))
            if found:
                return found[0]
            await asyncio.sleep(0.05)


async def test_what_was_heard_is_on_the_record(
    answer: OpenLine, tmp_path: Path
) -> None:
    line = await answer(PROFILE)
    result = await line.converse("""
[[caller]]
expect_heard = "opening-1"
[[caller]]
say = "caller-2"
[[caller]]
interrupt = "caller-4"
after_s = 1.5
[[caller]]
expect_heard = "reply-3"
[[caller]]
hang_up = true
[[model]]
speak = "long-1"
[[model]]
speak = "reply-3"
""")
    assert result.ok, result.problems
    path = await wait_for_recording(tmp_path / "0" / "recordings")
    assert result.call.call_sid in path.name
    assert judged(path, "-c").strip() == "2"
    assert judged(path, "-r").strip() == "8000"
    # From the first frame of the stream to the hang-up, both counted by frames.
    sent_s = result.call.sent.bytes / 8000
    assert abs(float(judged(path, "-D")) - sent_s) < 1.0

    samples = path.read_bytes()[-int(float(judged(path, "-D")) * 8000) * 4 :]
    caller = b"".join(samples[at : at + 2] for at in range(0, len(samples), 4))
    voice = b"".join(samples[at : at + 2] for at in range(2, len(samples), 4))
    assert decode(load_line("caller-2").audio)[:8000] in caller
    assert decode(load_line("opening-1").audio) in voice
    assert decode(load_line("reply-3").audio) in voice
    long_reply = decode(load_line("long-1").audio)
    assert long_reply[:16000] in voice
    assert long_reply not in voice
