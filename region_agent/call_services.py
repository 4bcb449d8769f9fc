"""What all calls of an agent share: phrases, tools, feeds, recordings, prices, ..."""

from collections.abc import Mapping
from dataclasses import dataclass

from backhaul.tracing import Tracer
from region_agent.call_copies import CallCopies
from region_agent.call_trace import CallMetrics
from region_agent.core.usage import ModelPrices
from region_agent.event_feeds import EventFeeds
from region_agent.phrases import Phrases
from region_agent.recordings import Recordings
from region_agent.tools import Tools

__all__ = ["CallServices"]


@dataclass(frozen=True, slots=True)
class CallServices:
    """Each of them is used without ever waiting for it."""

    phrases: Phrases
    tools: Tools
    copies: CallCopies
    feeds: EventFeeds
    recordings: Recordings
    prices: Mapping[str, ModelPrices]
    """By model."""
    model: str
    """The model of profiles that name none."""
    tracer: Tracer
    metrics: CallMetrics
    rollover_lead_s: float
    """See `region_agent.settings.RegionAgentSettings`."""
