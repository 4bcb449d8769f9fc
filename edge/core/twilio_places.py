"""Where Twilio is: its edges, which take traffic, and its Regions, which process it."""

from dataclasses import dataclass
from typing import Final, Literal

from edge.core.geography import Point

__all__ = ["TWILIO_EDGES", "TWILIO_REGIONS", "TwilioEdge", "TwilioRegion"]

TwilioRegion = Literal["us1", "ie1", "au1"]
"""Where Twilio can process a call. Media Streams come from there."""


@dataclass(frozen=True, slots=True)
class TwilioEdge:
    """One of Twilio's entrances."""

    legacy_id: str
    """Its name in old URLs."""
    place: Point
    interconnect: bool
    """Whether private lines can end there, at the edge of this name and ``-ix``."""


TWILIO_EDGES: Final[dict[str, TwilioEdge]] = {
    "ashburn": TwilioEdge("us1", Point(39.04, -77.49), interconnect=True),
    "umatilla": TwilioEdge("us2", Point(45.92, -119.34), interconnect=False),
    "dublin": TwilioEdge("ie1", Point(53.35, -6.26), interconnect=False),
    "frankfurt": TwilioEdge("de1", Point(50.11, 8.68), interconnect=True),
    "singapore": TwilioEdge("sg1", Point(1.29, 103.85), interconnect=True),
    "sydney": TwilioEdge("au1", Point(-33.87, 151.21), interconnect=True),
    "tokyo": TwilioEdge("jp1", Point(35.68, 139.69), interconnect=True),
    "sao-paulo": TwilioEdge("br1", Point(-23.55, -46.63), interconnect=True),
}
"""Twilio's public edges.

Source: https://www.twilio.com/docs/global-infrastructure/edge-locations (edges, legacy
ids and interconnects); each place is that of the city it is named after. ``roaming``
is not a place, and ``london-ix`` and ``san-jose-ix`` have no public edge.
"""

TWILIO_REGIONS: Final[dict[TwilioRegion, str]] = {
    "us1": "ashburn",
    "ie1": "dublin",
    "au1": "sydney",
}
"""The edge at each of Twilio's processing Regions.

Source: https://www.twilio.com/docs/global-infrastructure/understanding-twilio-regions
"""
