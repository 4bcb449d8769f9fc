import pytest

from lab.twilio_webhook import signed_url


@pytest.mark.parametrize(
    ("url", "signed"),
    [
        ("https://a.example/x?y=1", "https://a.example/x?y=1"),
        ("https://a.example/x#rc=2&rp=all", "https://a.example/x"),
        ("https://u:p@a.example/x", "https://a.example/x"),
        ("https://a.example:8443/x", "https://a.example/x"),
        ("https://[::1]:8443/x", "https://[::1]/x"),
        ("http://a.example:8080/x", "http://a.example:8080/x"),
    ],
)
def test_the_signed_url_is_the_configured_one(url: str, signed: str) -> None:
    assert signed_url(url) == signed
