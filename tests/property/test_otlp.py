"""Whatever a span says, its official reader finds it unchanged."""

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from backhaul.core.otlp import encode_export, encode_resource, encode_span
from backhaul.core.trace import (
    AttributeValue,
    Span,
    SpanContext,
    SpanKind,
    parse_traceparent,
)

CONTEXTS = st.builds(
    SpanContext,
    st.integers(1, (1 << 128) - 1),
    st.integers(1, (1 << 64) - 1),
    st.booleans(),
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
VALUES: st.SearchStrategy[AttributeValue] = st.one_of(
    TEXTS,
    st.booleans(),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.floats(allow_nan=False),
    st.lists(TEXTS, max_size=4).map(tuple),
)
TIMES = st.floats(0, 4e9)
SPANS = st.builds(
    Span,
    TEXTS,
    CONTEXTS,
    TIMES,
    TIMES,
    parent_id=st.integers(0, (1 << 64) - 1),
    parent_is_remote=st.booleans(),
    kind=st.sampled_from(SpanKind),
    attributes=st.dictionaries(TEXTS, VALUES, max_size=6),
    links=st.lists(CONTEXTS, max_size=3).map(tuple),
    error=TEXTS,
)


def plain(value: AnyValue) -> AttributeValue:
    kind = value.WhichOneof("value")
    assert kind is not None
    if kind == "array_value":
        return tuple(one.string_value for one in value.array_value.values)
    found: AttributeValue = getattr(value, kind)
    return found


@given(st.lists(SPANS, max_size=5))
def test_spans_arrive_as_they_were(spans: list[Span]) -> None:
    data = encode_export(
        encode_resource({"a": "b"}),
        [encode_span(s) for s in spans],
        scope="s",
        version="",
    )
    (resource,) = ExportTraceServiceRequest.FromString(data).resource_spans
    (library,) = resource.scope_spans
    for span, found in zip(spans, library.spans, strict=True):
        assert found.trace_id == span.context.trace_id.to_bytes(16, "big")
        assert found.span_id == span.context.span_id.to_bytes(8, "big")
        assert int.from_bytes(found.parent_span_id, "big") == span.parent_id
        assert (found.name, found.kind) == (span.name, span.kind)
        assert found.start_time_unix_nano == round(span.start_unix_s * 1e6) * 1000
        assert found.end_time_unix_nano >= found.start_time_unix_nano
        assert {a.key: plain(a.value) for a in found.attributes} == span.attributes
        assert [int.from_bytes(link.span_id, "big") for link in found.links] == [
            link.span_id for link in span.links
        ]
        assert found.status.message == span.error


@given(CONTEXTS)
def test_a_context_survives_the_way_to_another_process(context: SpanContext) -> None:
    assert parse_traceparent(context.traceparent()) == context


@given(st.text(max_size=80))
def test_no_header_does_harm(header: str) -> None:
    context = parse_traceparent(header)
    assert context is None or (context.trace_id and context.span_id)
