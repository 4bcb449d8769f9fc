"""What a trace is made of, whose child a span is, and how W3C passes that on."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

__all__ = [
    "AttributeValue",
    "Attributes",
    "Span",
    "SpanContext",
    "SpanKind",
    "is_sampled",
    "parse_traceparent",
]

AttributeValue = str | bool | int | float | tuple[str, ...]
Attributes = Mapping[str, AttributeValue]

_TRACEPARENT: Final = re.compile(
    r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII
)
_SAMPLED: Final = 0x01
_INVALID_VERSION: Final = "ff"
_RATIO_BITS: Final = 64


class SpanKind(IntEnum):
    """Which side of a conversation a span is; numbered as in OTLP."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3


@dataclass(frozen=True, slots=True)
class SpanContext:
    """Which span of which trace; what travels to the next process."""

    trace_id: int
    """128 bits, not 0."""
    span_id: int
    """64 bits, not 0."""
    sampled: bool
    """Whether the trace is recorded; decided once, where it begins."""

    def traceparent(self) -> str:
        """Return the context as the header of that name.

        Source: W3C Trace Context, section 3.2.
        """
        flags = _SAMPLED if self.sampled else 0
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{flags:02x}"


def parse_traceparent(text: str) -> SpanContext | None:
    """Return the context in a header, None if it holds none.

    Flags are bits, and a newer version may say more than this one knows.

    Source: W3C Trace Context, section 3.2.
    """
    found = _TRACEPARENT.fullmatch(text)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == _INVALID_VERSION or (version == "00" and more):
        return None
    context = SpanContext(
        int(trace_id, 16), int(span_id, 16), bool(int(flags, 16) & _SAMPLED)
    )
    return context if context.trace_id and context.span_id else None


def is_sampled(trace_id: int, ratio: float) -> bool:
    """Tell whether to record a trace, so that everybody comes to the same answer.

    Args:
        trace_id: Random in its lower 64 bits.
        ratio: Share of traces to record, 0 to 1.

    Source: OpenTelemetry specification, TraceIdRatioBased.
    """
    return trace_id % (1 << _RATIO_BITS) < round(ratio * (1 << _RATIO_BITS))


@dataclass(frozen=True, slots=True)
class Span:
    """Something that took time."""

    name: str
    context: SpanContext
    start_unix_s: float
    end_unix_s: float
    parent_id: int = 0
    """Its parent's `span_id`; 0 for the outermost span of a trace."""
    parent_is_remote: bool = False
    """Whether the parent is a span of another process."""
    kind: SpanKind = SpanKind.INTERNAL
    attributes: Attributes = field(default_factory=dict[str, AttributeValue])
    links: tuple[SpanContext, ...] = ()
    """Spans that it has to do with beside its parent."""
    error: str = ""
    """Why it failed, a stable label; empty when it did not."""
