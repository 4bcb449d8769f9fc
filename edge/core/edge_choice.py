"""Which edge a call's Media Stream should go to: the nearest one that is alive."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from edge.core.caller_place import CallerPlace
from edge.core.geography import Point, distance_km

__all__ = ["EdgeChoice", "EdgeOption", "choose_edge"]

_CALLER_SHARE: Final = 0.25
"""What a kilometre to a caller who is surely there counts beside one to Twilio's
Region. Audio comes from the Region wherever the caller is, so an edge near the caller
and far from the Region is a detour; the caller decides between edges that are about
as far from the Region."""
_MIN_SAVING_KM: Final = 500.0
"""What another edge must save before a call is given to it: about 7 ms there and back.
For less, the call stays where nothing need be handed over."""


@dataclass(frozen=True, slots=True)
class EdgeOption:
    """An edge that could take the stream."""

    name: str
    place: Point


@dataclass(frozen=True, slots=True)
class EdgeChoice:
    """The edge for a stream, and one reason for every edge considered."""

    name: str
    reasons: tuple[tuple[str, str], ...]


def choose_edge(
    own: EdgeOption,
    others: Iterable[EdgeOption],
    *,
    region: Point,
    caller: CallerPlace,
    own_is_full: bool = False,
) -> EdgeChoice:
    """Return the edge nearest to where the audio comes from, and then to the caller.

    Args:
        own: The edge that asks.
        others: Those that are alive.
        region: Twilio's processing Region.
        caller: Where the caller probably is; counts as much as it is trusted.
        own_is_full: Whether any other edge is better than the own one.
    """
    own_km = math.inf if own_is_full else _cost_km(own, region, caller)
    best, best_km = own, own_km
    reasons = [(own.name, f"own edge, {'full' if own_is_full else f'{own_km:.0f} km'}")]
    for option in others:
        cost_km = _cost_km(option, region, caller)
        verdict = "" if own_km - cost_km >= _MIN_SAVING_KM else ", saves too little"
        reasons.append((option.name, f"{cost_km:.0f} km{verdict}"))
        # The name settles ties, so that every edge decides alike.
        if not verdict and (cost_km, option.name) < (best_km, best.name):
            best, best_km = option, cost_km
    return EdgeChoice(best.name, tuple(reasons))


def _cost_km(option: EdgeOption, region: Point, caller: CallerPlace) -> float:
    cost_km = distance_km(region, option.place)
    if caller.point is not None:
        share = _CALLER_SHARE * caller.confidence
        cost_km += share * distance_km(caller.point, option.place)
    return cost_km
