"""Every span that a call can have; docs/observability.md tells what each one covers."""

from collections.abc import Mapping
from enum import StrEnum

__all__ = ["AttributeValue", "Attributes", "SpanName"]

AttributeValue = str | bool | int | float | tuple[str, ...]
Attributes = Mapping[str, AttributeValue]
"""What is told of a span, by name."""


class SpanName(StrEnum):
    """What a span covers. There are no others, whatever a call says or does."""

    # The edge's.
    CALL = "call"
    WEBHOOK = "webhook"
    ROUTE = "route"
    LEASE = "lease"
    STREAM_START = "stream start"
    ATTACH = "attach"
    FIRST_AUDIO = "first audio"
    FAILOVER = "failover"
    # The agent's.
    CONVERSATION = "conversation"
    TURN = "turn"
    TURN_AUDIO = "turn first audio"
    TOOL = "tool"
