"""Who is let in."""

import pytest

from backhaul.settings import Secret
from console.login import LOGIN_S, Login

TOKEN = Secret("a token that nobody guesses")


def test_only_the_token_is_admitted() -> None:
    login = Login(TOKEN)
    assert login.admits("a token that nobody guesses")
    assert not login.admits("a token that somebody guesses")
    assert not login.admits("\udcff")


def test_a_cookie_holds_for_a_while() -> None:
    login = Login(TOKEN)
    cookie = login.cookie(now=1000.0)
    assert login.knows(cookie, now=1000.0)
    assert login.knows(cookie, now=1000.0 + LOGIN_S - 1)
    assert not login.knows(cookie, now=1000.0 + LOGIN_S + 1)


def test_a_console_that_starts_again_knows_its_cookies() -> None:
    cookie = Login(TOKEN).cookie(now=1000.0)
    assert Login(TOKEN).knows(cookie, now=1001.0)
    assert not Login(Secret("another token altogether")).knows(cookie, now=1001.0)


@pytest.mark.parametrize("cookie", ["", ".", "9999999999", "9999999999.0", "x.\udcff"])
def test_other_cookies_are_strange(cookie: str) -> None:
    assert not Login(TOKEN).knows(cookie, now=1000.0)


def test_nobody_lengthens_a_login() -> None:
    login = Login(TOKEN)
    ends_at, _, signature = login.cookie(now=1000.0).partition(".")
    assert not login.knows(f"{ends_at}0.{signature}", now=1000.0)
