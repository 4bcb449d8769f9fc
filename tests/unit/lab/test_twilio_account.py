"""Who asks Twilio: credentials from the environment."""

import pytest

from lab.twilio_account import AccountError, Credentials

ACCOUNT = "AC" + "1" * 32


def credentials(region: str = "us1", **environ: str) -> tuple[str, str]:
    found = Credentials.of(region, {"TWILIO_ACCOUNT_SID": ACCOUNT} | environ)
    return found.user, found.password.reveal()


def test_an_api_key_wins_over_the_token() -> None:
    found = credentials(
        TWILIO_API_KEY="SK1", TWILIO_API_SECRET="s", TWILIO_AUTH_TOKEN="t"
    )
    assert found == ("SK1", "s")


def test_the_token_will_do() -> None:
    assert credentials(TWILIO_AUTH_TOKEN="t") == (ACCOUNT, "t")


def test_those_of_a_region_win() -> None:
    environ = {
        "TWILIO_API_KEY": "SK1",
        "TWILIO_API_SECRET": "s",
        "TWILIO_API_KEY_IE1": "SK2",
        "TWILIO_API_SECRET_IE1": "s2",
    }
    assert credentials("ie1", **environ) == ("SK2", "s2")
    assert credentials("us1", **environ) == ("SK1", "s")


def test_the_configuration_may_name_the_account() -> None:
    found = Credentials.of("us1", {"TWILIO_AUTH_TOKEN": "t"}, account_sid=ACCOUNT)
    assert found.account_sid == ACCOUNT


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"TWILIO_API_KEY": "SK1"},
        {"TWILIO_API_KEY": "SK1", "TWILIO_AUTH_TOKEN": "t"},
        {"TWILIO_AUTH_TOKEN": "new,old"},
    ],
)
def test_half_of_a_key_or_several_tokens_are_refused(environ: dict[str, str]) -> None:
    with pytest.raises(AccountError, match="TWILIO_API_SECRET"):
        credentials(**environ)


def test_an_account_that_is_none_is_refused() -> None:
    with pytest.raises(AccountError, match="TWILIO_ACCOUNT_SID"):
        Credentials.of("us1", {"TWILIO_AUTH_TOKEN": "t"}, account_sid="AC123")


def test_nobody_sees_the_secret() -> None:
    found = Credentials.of(
        "us1", {"TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": "hush"}
    )
    assert "hush" not in repr(found)
