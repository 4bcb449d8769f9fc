"""Regions and agents for tests of the router."""

import random
from collections.abc import Mapping

from backhaul.core.messages import ProfileStock, Stock
from edge.core.router import Router
from edge.core.routes import Candidate, RouteDecision, RouterConfig, RouteReason

DESK = "desk"


def stock(
    warm: int = 1,
    *,
    active: int = 0,
    target: int = 30,
    most: int = 50,
    open_s: float = 0.4,
    first_audio_s: float = 0.25,
    draining: bool = False,
) -> Stock:
    return Stock(
        {DESK: ProfileStock(warm, open_s, first_audio_s)},
        active_calls=active,
        target_calls=target,
        max_calls=most,
        draining=draining,
    )


def make_router(
    regions: Mapping[str, float | None],
    *,
    seed: int = 1,
    config: RouterConfig = RouterConfig(),  # noqa: B008 - frozen
) -> Router:
    return Router(regions, config=config, rng=random.Random(seed))


def add(
    router: Router,
    address: str,
    region: str,
    said: Stock | None = None,
    *,
    rtt_s: float | None = 0.02,
) -> None:
    """Make an agent known that is up and has said what it has."""
    router.add(address, region)
    router.set_link(address, up=True, rtt_s=rtt_s)
    router.set_stock(address, stock() if said is None else said)


def chosen(decision: RouteDecision) -> str:
    assert decision.choice is not None
    return decision.choice.region


def reasons(decision: RouteDecision) -> dict[str, RouteReason]:
    names = [one.region for one in decision.candidates]
    return dict(zip(names, decision.reasons, strict=True))


def figures(decision: RouteDecision, region: str) -> Candidate:
    return next(one for one in decision.candidates if one.region == region)
