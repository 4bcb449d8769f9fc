"""Server events, reduced to what matters; anything else is refused unquoted."""

import pytest

from backhaul.errors import RemoteProtocolError
from region_agent.core.realtime_events import (
    FATAL_ERRORS,
    KNOWN_EVENTS,
    RATE_LIMIT_ERRORS,
    ErrorDetail,
    ItemDetail,
    ResponseDetail,
    ServerEvent,
    SessionDetail,
    audio_of,
    decode_event,
    error_label,
    usage_of,
)
from region_agent.core.usage import ResponseUsage

DEEP = b'{"type":"x","a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
FUNCTION_CALLED = (
    b'{"type":"response.output_item.done","item":{"type":"function_call",'
    b'"status":"completed","call_id":"c","name":"f","arguments":"{}"}}'
)


@pytest.mark.parametrize(
    ("code", "label"),
    [
        ("insufficient_quota", "insufficient_quota"),
        ("response_cancel_not_active", "response_cancel_not_active"),
        ("brand_new", "other"),
        ("", "other"),
    ],
)
def test_error_labels_are_few(code: str, label: str) -> None:
    assert error_label(code) == label


@pytest.mark.parametrize(
    ("message", "event"),
    [
        (
            b'{"type":"session.created","session":{"id":"sess_1","expires_at":170}}',
            ServerEvent("session.created", session=SessionDetail("sess_1", 170.0)),
        ),
        (
            b'{"type":"error","error":{"type":"t","code":null,"message":"secret"}}',
            ServerEvent("error", error=ErrorDetail(None, "t")),
        ),
        (
            b'{"type":"response.done","response":{"id":"r","status":"failed"}}',
            ServerEvent("response.done", response=ResponseDetail("r", "failed")),
        ),
        (
            FUNCTION_CALLED,
            ServerEvent(
                "response.output_item.done",
                item=ItemDetail("function_call", "completed", "c", "f", "{}"),
            ),
        ),
        (b'{"type":"new.event","odd":[1,{"a":2}]}', ServerEvent("new.event")),
    ],
)
def test_events_are_reduced_to_what_matters(message: bytes, event: ServerEvent) -> None:
    assert decode_event(message) == event


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"type":""}',
        b'{"type":null}',
        b'{"type":5}',
        b'{"type":"response.done","response":"r"}',
        b'{"type":"\xff"}',
        b'{"type":"\\ud800"}',
        b'{"type":"x","a":NaN}',
        DEEP,
    ],
)
def test_anything_else_is_refused_without_being_quoted(message: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as refused:
        decode_event(message)
    assert refused.value.reason.startswith("server event ")
    assert refused.value.__cause__ is None


def test_audio_is_taken_out_of_a_delta() -> None:
    assert audio_of(ServerEvent("response.output_audio.delta", "AP/+")) == b"\0\xff\xfe"
    assert audio_of(ServerEvent("response.output_audio.delta")) == b""


@pytest.mark.parametrize("delta", ["AP/", "A P / +", "äöü=", "\x00\x00\x00\x00"])
def test_a_delta_that_is_not_base64_is_refused(delta: str) -> None:
    with pytest.raises(RemoteProtocolError):
        audio_of(ServerEvent("response.output_audio.delta", delta))


def test_errors_that_end_a_session_have_labels_of_their_own() -> None:
    assert not FATAL_ERRORS & RATE_LIMIT_ERRORS
    for code in FATAL_ERRORS | RATE_LIMIT_ERRORS:
        assert error_label(code) == code


def test_what_the_conversation_listens_for_is_among_the_documented_events() -> None:
    assert {"response.output_item.done", "input_audio_buffer.committed"} < KNOWN_EVENTS


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [(b"", None), (b',"usage":null', None), (b',"usage":{"input_tokens":"x"}', None)],
)
def test_a_response_has_ended_whatever_its_usage_looks_like(
    usage: bytes, tokens: ResponseUsage | None
) -> None:
    response = decode_event(
        b'{"type":"response.done","response":{"id":"r1"' + usage + b"}}"
    ).response
    assert response is not None
    assert response.id == "r1"
    assert usage_of(response) == tokens


def test_the_tokens_of_a_response_are_read() -> None:
    response = decode_event(
        b'{"type":"response.done","response":{"usage":{"output_tokens":7}}}'
    ).response
    assert response is not None
    usage = usage_of(response)
    assert usage is not None
