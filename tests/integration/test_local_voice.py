"""The voice of ``warmline[voice]`` hears real speech and says something about it."""

import pytest

from lab.local_voice import LocalVoice, missing_packages
from lab.speech_files import load_line

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def voice() -> LocalVoice:
    if missing := missing_packages():
        pytest.skip(f"not installed: {', '.join(missing)} (make demo-voice)")
    return LocalVoice.load()


@pytest.mark.parametrize(
    ("line", "wanted", "answer"),
    [
        ("caller-1", "table", "A table, with pleasure."),
        ("caller-4", "opening hours", "We are open every day"),
    ],
)
def test_a_caller_is_heard_and_answered(
    voice: LocalVoice, line: str, wanted: str, answer: str
) -> None:
    thought = voice.begin(load_line(line).audio).result()
    assert wanted in thought.heard
    assert thought.answer.text.startswith(answer)
    again = voice.begin(thought.answer.audio).result()
    assert len(set(again.heard.lower().split()) & set(answer.lower().split())) >= 2
