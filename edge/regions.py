"""The regions of the settings, as the router needs to know them."""

import random

from edge.core.distance import expected_rtt_ms
from edge.core.geography import Point
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
    here = _point(settings.latitude, settings.longitude)
    rtts: dict[str, float | None] = {}
    for name, region in settings.regions.items():
        there = _point(region.latitude, region.longitude)
        rtts[name] = expected_rtt_ms(here, there) if here and there else None
    return rtts


def _point(latitude: float | None, longitude: float | None) -> Point | None:
    if latitude is None or longitude is None:
        return None
    return Point(latitude, longitude)
