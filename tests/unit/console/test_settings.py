"""How the console is reached."""

import pytest

from backhaul.settings import Secret
from console.settings import ConsoleSettings


def test_a_token_is_made_up_where_none_is_given() -> None:
    one, other = ConsoleSettings(), ConsoleSettings()
    assert one.problems() == ()
    assert one.token.reveal() != other.token.reveal()


def test_what_cannot_be_used_is_named() -> None:
    settings = ConsoleSettings(token=Secret("short"), trace_url="http://traces/")
    assert settings.problems() == (
        "CONSOLE_TOKEN: at least 16 characters",
        "--trace-url: must contain {trace_id}",
    )
    strange = ConsoleSettings(trace_url="javascript:alert({trace_id})")
    assert strange.problems() == ("--trace-url: must be an http(s) URL",)


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False)],  # noqa: S104
)
def test_what_only_this_machine_reaches(host: str, *, local: bool) -> None:
    assert ConsoleSettings(host=host).is_local is local
