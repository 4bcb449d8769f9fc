"""What the router knows of regions before anything was measured."""

import random

import pytest

from backhaul.settings import Region, Secret
from edge.regions import make_router
from edge.settings import EdgeSettings
from tests.unit.router_fleet import DESK, add, figures


def test_distance_stands_in_where_both_places_are_known() -> None:
    near = Region(agents=("a:1",), latitude=50.1, longitude=8.7)
    far = Region(agents=("b:1",), latitude=1.35, longitude=103.8)
    lost = Region(agents=("c:1",))
    settings = EdgeSettings(
        name="edge-1",
        public_url="https://voice.example.com",
        twilio_auth_tokens=(Secret("x"),),
        latitude=50.0,
        longitude=8.0,
        regions={"near": near, "far": far, "lost": lost},
        numbers={"*": DESK},
    )
    router = make_router(settings, rng=random.Random(1))
    for address, name in (("a:1", "near"), ("b:1", "far"), ("c:1", "lost")):
        add(router, address, name, rtt_s=None)
    decision = router.route(DESK)
    assert figures(decision, "near").rtt_ms < 5
    assert figures(decision, "far").rtt_ms == pytest.approx(137, abs=3)
    assert figures(decision, "lost").rtt_ms == 150.0
