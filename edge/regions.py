"""The regions of the settings, as the router needs to know them."""

import random

from edge.core.distance import expected_rtt_ms
from edge.core.router import Router
from edge.core.routes import RouterConfig
from edge.settings import EdgeSettings

__all__ = ["make_router"]


def make_router(settings: EdgeSettings, *, rng: random.Random) -> Router:
    """Return a router that knows every region and no agent.

    Args:
        settings: The edge's.
        rng: Picks the agents to compare.
    """
    config = RouterConfig(hysteresis=settings.hysteresis)
    return Router(_expected_rtts(settings), config=config, rng=rng)


def _expected_rtts(settings: EdgeSettings) -> dict[str, float | None]:
    """Return the round trip (ms) that each region's distance suggests, if known."""
    here = settings.latitude, settings.longitude
    return {
        name: None
        if here[0] is None
        or here[1] is None
        or region.latitude is None
        or region.longitude is None
        else expected_rtt_ms((here[0], here[1]), (region.latitude, region.longitude))
        for name, region in settings.regions.items()
    }
