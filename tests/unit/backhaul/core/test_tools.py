"""What a voice may do besides talking: what cannot work is named beforehand."""

from typing import Any

import msgspec
import pytest

from backhaul.core.messages import TransferKind
from backhaul.core.tools import (
    BUILT_IN_TOOLS,
    Tool,
    TransferTarget,
    is_e164,
    transfer_kind,
    url_problem,
)

URL = "https://example.com/tool"


@pytest.mark.parametrize("number", ["+14155550100", "+4412345678", "+1234567"])
def test_telephone_numbers_have_a_country(number: str) -> None:
    assert is_e164(number)


@pytest.mark.parametrize(
    "number",
    [
        "",
        "14155550100",
        "+0123456789",
        "+123456",
        "+1234567890123456",
        "+1 415 5550100",
        "+1415555010\u0660",
        "+14155550100\n",
        "tel:+14155550100",
    ],
)
def test_anything_else_is_no_number(number: str) -> None:
    assert not is_e164(number)


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("+14155550100", TransferKind.NUMBER),
        ("sip:desk@example.com", TransferKind.SIP),
        ("sips:desk@example.com;transport=tls", TransferKind.SIP),
        ("queue:front desk", TransferKind.QUEUE),
        ("sip:desk", None),
        ("sip:<desk>@example.com", None),
        ("sip:a b@example.com", None),
        ("queue:", None),
        ("queue:a/b", None),
        ("desk", None),
        ("", None),
    ],
)
def test_a_caller_can_be_connected_to_few_kinds_of_things(
    target: str, kind: TransferKind | None
) -> None:
    assert transfer_kind(target) is kind
    assert bool(TransferTarget(to=target).problems()) is (kind is None)


@pytest.mark.parametrize(
    "url",
    [URL, "https://example.com:8443/a?b=c", "http://127.0.0.1:8000/", "http://[::1]/"],
)
def test_an_endpoint_is_reached_over_tls_or_on_this_host(url: str) -> None:
    assert url_problem(url) is None


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://[::1", "not a URL"),
        ("https://example.com:99999/", "not a URL"),
        ("", "not an https:// URL"),
        ("ftp://example.com/", "not an https:// URL"),
        ("https:///path", "not an https:// URL"),
        ("https://example.com:0/", "not an https:// URL"),
        ("http://example.com/", "must be https:// for any host but this one"),
        ("https://me@example.com/", "must not have a user or a fragment"),
        ("https://example.com/#a", "must not have a user or a fragment"),
    ],
)
def test_what_is_wrong_with_an_endpoint_is_named(url: str, problem: str) -> None:
    assert url_problem(url) == problem


def test_a_function_needs_a_name_a_description_and_an_endpoint() -> None:
    given = {"name": "book", "description": "Books a table.", "url": URL}
    assert msgspec.convert(given, Tool).problems() == ()
    schema = {"type": "object", "properties": {}}
    assert msgspec.convert({**given, "parameters": schema}, Tool).problems() == ()


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"name": "a b"}, "name: letters, digits, _ and - only, at most 64"),
        ({"name": ""}, "name: letters, digits, _ and - only, at most 64"),
        ({"name": "a" * 65}, "name: letters, digits, _ and - only, at most 64"),
        ({"name": "transfer"}, "name: transfer is a built-in tool"),
        ({"url": "example.com"}, "url: not an https:// URL"),
        (
            {"parameters": {"type": "array"}},
            'parameters: must be a JSON schema with type = "object"',
        ),
    ],
)
def test_what_is_wrong_with_a_function_is_named(
    wrong: dict[str, Any], problem: str
) -> None:
    given = {"name": "book", "description": "Books a table.", "url": URL, **wrong}
    assert Tool(**given).problems() == (problem,)


def test_no_function_can_pass_for_a_built_in_one() -> None:
    for name in BUILT_IN_TOOLS:
        assert Tool(name, "Mine.", URL).problems()


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout_s": 0},
        {"timeout_s": 121},
        {"max_result_bytes": 10},
        {"filler_after_ms": -1},
        {"warm_connections": 0},
        {"retries": 3},
    ],
)
def test_values_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    given = {"name": "book", "description": "Books a table.", "url": URL, **wrong}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(given, Tool)
