"""OTLP as its own generated classes read it."""

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)
from opentelemetry.proto.trace.v1 import trace_pb2

from backhaul.core.otlp import encode_export, encode_resource, encode_span
from backhaul.core.trace import Span, SpanContext, SpanKind

CONTEXT = SpanContext(0xABC, 0xDEF, sampled=True)


def decoded(*spans: Span) -> trace_pb2.ResourceSpans:
    request = ExportTraceServiceRequest.FromString(
        encode_export(
            encode_resource({"service.name": "warmline-edge"}),
            [encode_span(span) for span in spans],
            scope="warmline",
            version="1.2",
        )
    )
    found: list[trace_pb2.ResourceSpans] = list(request.resource_spans)
    assert len(found) == 1
    return found[0]


def test_who_sends_it() -> None:
    found = decoded()
    (attribute,) = found.resource.attributes
    assert (attribute.key, attribute.value.string_value) == (
        "service.name",
        "warmline-edge",
    )
    (library,) = found.scope_spans
    assert (library.scope.name, library.scope.version) == ("warmline", "1.2")
    assert not library.spans


def test_a_span_with_everything() -> None:
    linked = SpanContext(0xABC, 0x123, sampled=True)
    unsampled = SpanContext(0xABC, 0x124, sampled=False)
    span = Span(
        "attach",
        CONTEXT,
        1_790_000_000.25,
        1_790_000_000.5,
        parent_id=0x77,
        parent_is_remote=True,
        kind=SpanKind.CLIENT,
        attributes={
            "text": "grüße",
            "yes": True,
            "no": False,
            "count": 300,
            "below": -1,
            "part": 0.5,
            "list": ("a", "b"),
        },
        links=(linked, unsampled),
        error="link_lost",
    )
    (library,) = decoded(span).scope_spans
    (found,) = library.spans
    assert found.trace_id == (0xABC).to_bytes(16, "big")
    assert found.span_id == (0xDEF).to_bytes(8, "big")
    assert found.parent_span_id == (0x77).to_bytes(8, "big")
    assert (found.name, found.kind) == ("attach", trace_pb2.Span.SPAN_KIND_CLIENT)
    assert found.start_time_unix_nano == 1_790_000_000_250_000_000
    assert found.end_time_unix_nano == 1_790_000_000_500_000_000
    assert found.flags == 0x301
    values = {one.key: one.value for one in found.attributes}
    assert values["text"].string_value == "grüße"
    assert values["yes"].bool_value
    assert values["no"].WhichOneof("value") == "bool_value"
    assert values["count"].int_value == 300
    assert values["below"].int_value == -1
    assert values["part"].double_value == 0.5
    texts = [one.string_value for one in values["list"].array_value.values]
    assert texts == ["a", "b"]
    assert [link.span_id for link in found.links] == [
        (0x123).to_bytes(8, "big"),
        (0x124).to_bytes(8, "big"),
    ]
    assert [link.flags for link in found.links] == [0x101, 0x100]
    assert found.status.code == trace_pb2.Status.STATUS_CODE_ERROR
    assert found.status.message == "link_lost"


def test_a_root_that_went_well() -> None:
    (library,) = decoded(Span("call", CONTEXT, 1.0, 2.0)).scope_spans
    (found,) = library.spans
    assert found.parent_span_id == b""
    assert found.flags == 0x101
    assert found.status.code == trace_pb2.Status.STATUS_CODE_UNSET


def test_no_span_ends_before_it_began() -> None:
    (library,) = decoded(Span("call", CONTEXT, 2.0, 1.0)).scope_spans
    assert library.spans[0].end_time_unix_nano == 2_000_000_000


def test_text_that_is_none_does_no_harm() -> None:
    broken = Span("tool", CONTEXT, 1.0, 2.0, attributes={"name": "a\ud800b"})
    (library,) = decoded(broken).scope_spans
    assert library.spans[0].attributes[0].value.string_value == "a?b"


def test_what_is_too_long_is_cut() -> None:
    endless = Span(
        "tool", CONTEXT, 1.0, 2.0, attributes={"a": "x" * 9999, "b": ("y",) * 9999}
    )
    (library,) = decoded(endless).scope_spans
    text, items = (one.value for one in library.spans[0].attributes)
    assert text.string_value == "x" * 512
    assert len(items.array_value.values) == 64
