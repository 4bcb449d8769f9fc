"""The drawn state machines are those of the code."""

from pathlib import Path

from lab.state_diagrams import render


def test_the_page_is_fresh() -> None:
    page = Path(__file__).parents[3] / "docs" / "state-machines.md"
    assert page.read_text(encoding="utf-8") == render()
