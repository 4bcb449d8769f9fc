"""Where traces go: OpenTelemetry's own settings."""

import pytest

from backhaul.otlp_target import OtlpTarget, target_problems
from backhaul.settings import Secret


def test_without_an_endpoint_there_is_none() -> None:
    assert OtlpTarget.of("", Secret("key=value")) is None


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://localhost:4318", "http://localhost:4318/v1/traces"),
        ("http://localhost:4318/", "http://localhost:4318/v1/traces"),
        ("https://otlp.example.com/v2", "https://otlp.example.com/v2/v1/traces"),
    ],
)
def test_traces_have_their_own_path(endpoint: str, url: str) -> None:
    target = OtlpTarget.of(endpoint, Secret(""))
    assert target == OtlpTarget(url, {})


def test_headers_are_percent_encoded_and_never_shown() -> None:
    target = OtlpTarget.of("http://a", Secret("api-key=s%20x%3D, tenant = t ,"))
    assert target is not None
    assert target.headers == {"api-key": "s x=", "tenant": "t"}
    assert "s x" not in repr(target)


@pytest.mark.parametrize(
    "endpoint",
    ["localhost:4318", "grpc://a:4317", "http://", "http://a:0", "http://a:x/", "//a"],
)
def test_an_endpoint_that_is_none(endpoint: str) -> None:
    (problem,) = target_problems(endpoint, Secret(""))
    assert problem.startswith("otlp_endpoint: ")


@pytest.mark.parametrize("headers", ["=value", "a b=c", "key", "key=%0d%0aevil: 1"])
def test_headers_that_are_none(headers: str) -> None:
    problems = target_problems("", Secret(headers))
    assert problems
    assert all(line.startswith("otlp_headers: ") for line in problems)
    assert not any("evil" in line for line in problems)


def test_what_can_be_used_has_no_problems() -> None:
    assert target_problems("", Secret("")) == ()
    assert target_problems("https://otlp.example.com", Secret("api-key=1")) == ()
