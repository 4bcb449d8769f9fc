"""A decision, told to people."""

from edge.core.routes import RouteReason
from tests.unit.router_fleet import DESK, add, make_router


def test_every_candidate_is_told_with_its_figures_and_its_reason() -> None:
    router = make_router({"near": None, "gone": None})
    add(router, "a", "near", rtt_s=0.0213)
    rows = router.route(DESK).rows()
    assert rows == [
        {
            "region": "near",
            "reason": "chosen",
            "predicted_ms": 273.3,
            "rtt_ms": 21.3,
            "attach_ms": 2.0,
            "open_ms": 0.0,
            "model_ms": 250.0,
            "load_ms": 0.0,
            "free": 1,
            "agents": 1,
        },
        {
            "region": "gone",
            "reason": RouteReason.NO_AGENTS.value,
            "predicted_ms": None,
            "rtt_ms": 0.0,
            "attach_ms": 0.0,
            "open_ms": 0.0,
            "model_ms": 0.0,
            "load_ms": 0.0,
            "free": 0,
            "agents": 0,
        },
    ]


def test_every_candidate_has_its_line() -> None:
    router = make_router({"near": None, "gone": None})
    add(router, "a", "near", rtt_s=0.0213)
    near, gone = router.route(DESK).lines()
    figures = "rtt 21.3 + attach 2.0 + open 0.0 + model 250.0 + load 0.0"
    assert near == f"near chosen: 273.3 ms = {figures}; 1 free"
    assert gone == "gone no_agents"
