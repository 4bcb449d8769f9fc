"""Encodes spans as OTLP's protobuf messages: what a collector takes.

Spans are encoded one by one, when they end; an export request is only put together.

Source: opentelemetry-proto 1.9, ``trace/v1/trace.proto``, ``common/v1/common.proto``
and ``collector/trace/v1/trace_service.proto``; Protocol Buffers, "Encoding".
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from backhaul.core.trace import Attributes, AttributeValue, Span, SpanContext

__all__ = ["encode_export", "encode_resource", "encode_span"]

_MICROSECONDS: Final = 1_000_000
_STATUS_ERROR: Final = b"\x18\x02"
"""Field 3 of Status, STATUS_CODE_ERROR."""
_SAMPLED: Final = 0x01
_HAS_IS_REMOTE, _IS_REMOTE = 0x100, 0x200
_UINT64: Final = (1 << 64) - 1
_MAX_CHARS: Final = 512
_MAX_ITEMS: Final = 64
"""Limits of an attribute; beyond them it is cut. Peers have their say in some."""
_ONE_BYTE: Final = 0x7F
"""The largest number that takes one byte; seven bits each."""

_double = struct.Struct("<d").pack
_fixed64 = struct.Struct("<Q").pack
_fixed32 = struct.Struct("<I").pack


def _varint(value: int) -> bytes:
    value &= _UINT64  # negative numbers are sent as their two's complement
    parts = bytearray()
    while value > _ONE_BYTE:
        parts.append(value & _ONE_BYTE | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _bytes(number: int, value: bytes) -> bytes:
    """Return field *number* (below 16) with *value*, a string or a message."""
    size = len(value)
    if size <= _ONE_BYTE:  # nearly always
        return bytes((number << 3 | 2, size)) + value
    return b"%c%b%b" % (number << 3 | 2, _varint(size), value)


def _text(number: int, value: str) -> bytes:
    # What peers call things need not be text that UTF-8 knows.
    return _bytes(number, value.encode(errors="replace"))


@lru_cache(maxsize=256)
def _key(name: str) -> bytes:
    """Return the name of an attribute, of which there are few."""
    return _text(1, name)


def _value(value: AttributeValue) -> bytes:
    """Return an AnyValue."""
    match value:
        case str():
            return _text(1, value[:_MAX_CHARS])
        case bool():
            return b"\x10\x01" if value else b"\x10\x00"
        case int():
            return b"\x18" + _varint(value)
        case float():
            return b"\x21" + _double(value)
        case tuple():  # pragma: no branch - the last of all kinds
            items = value[:_MAX_ITEMS]
            return _bytes(5, b"".join(_bytes(1, _value(item)) for item in items))


def _attributes(number: int, attributes: Attributes) -> bytes:
    return b"".join(
        _bytes(number, _key(name) + _bytes(2, _value(value)))
        for name, value in attributes.items()
    )


def _link(context: SpanContext) -> bytes:
    flags = _HAS_IS_REMOTE | (_SAMPLED if context.sampled else 0)
    return (
        _bytes(1, context.trace_id.to_bytes(16, "big"))
        + _bytes(2, context.span_id.to_bytes(8, "big"))
        + b"\x35"
        + _fixed32(flags)
    )


def _nanoseconds(unix_s: float) -> bytes:
    # A float of today's time is exact to a quarter of a microsecond, no further.
    return _fixed64(round(unix_s * _MICROSECONDS) * 1000)


def encode_span(span: Span) -> bytes:
    """Return *span* as it stands in an export request."""
    context = span.context
    flags = _SAMPLED | _HAS_IS_REMOTE | (_IS_REMOTE if span.parent_is_remote else 0)
    parts = [
        _bytes(1, context.trace_id.to_bytes(16, "big")),
        _bytes(2, context.span_id.to_bytes(8, "big")),
        _bytes(4, span.parent_id.to_bytes(8, "big")) if span.parent_id else b"",
        _text(5, span.name),
        b"\x30%c" % span.kind,
        b"\x39",
        _nanoseconds(span.start_unix_s),
        b"\x41",
        _nanoseconds(max(span.end_unix_s, span.start_unix_s)),
        _attributes(9, span.attributes),
        *(_bytes(13, _link(link)) for link in span.links),
    ]
    if span.error:
        parts.append(_bytes(15, _text(2, span.error) + _STATUS_ERROR))
    # Field 16 is the first whose number takes two bytes.
    parts += (b"\x85\x01", _fixed32(flags))
    return _bytes(2, b"".join(parts))


def encode_resource(attributes: Attributes) -> bytes:
    """Return who sends the spans, for `encode_export`."""
    return _bytes(1, _attributes(1, attributes))


def encode_export(
    resource: bytes, spans: Sequence[bytes], *, scope: str, version: str
) -> bytes:
    """Return an ExportTraceServiceRequest.

    Args:
        resource: From `encode_resource`.
        spans: From `encode_span`.
        scope: The library that made them.
        version: Of that library.
    """
    library = _bytes(1, _text(1, scope) + _text(2, version))
    return _bytes(1, resource + _bytes(2, library + b"".join(spans)))
