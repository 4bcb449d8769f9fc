"""What edges write down of calls is understood."""

import json
from typing import Any

from lab.drills.history import Change, Owner
from lab.drills.logs import read_log

AT = "2026-01-01T00:00:10.500000Z"
UNIX_S = 1767225610.5


def line(event: str, **facts: Any) -> str:
    return json.dumps({"event": event, "timestamp": AT, "level": "info", **facts})


def test_owners_changes_and_losses_are_found() -> None:
    log = read_log(
        [
            line(
                "call.attached",
                call_sid="CA1",
                epoch=2,
                region="us-east",
                agent="us-east-1",
                session_id="sess_1",
            ),
            line(
                "call.state_changed",
                call_sid="CA1",
                old="bridged",
                new="holding",
                reason="link_lost",
            ),
            line("call.ended", call_sid="CA1", caller_bytes_lost=160),
            line("region.state_changed", region="us-east", new="down"),
        ],
        edge="edge-1",
        unix_offset_s=UNIX_S - 10.0,
    )
    owner = Owner(10.0, "CA1", 2, "us-east-1", "sess_1", "us-east", "edge-1")
    assert log.owners == (owner,)
    change = Change(10.0, "CA1", "bridged", "holding", "link_lost", "edge-1")
    assert log.changes == (change,)
    assert log.lost == {"CA1": 160}
    ((at, event, facts),) = log.events
    assert (at, event, facts["new"]) == (10.0, "region.state_changed", "down")


def test_other_lines_are_passed_over() -> None:
    lines = ["", "Traceback", "{", '{"event": "x"}', '{"event": 1, "timestamp": "?"}']
    log = read_log(lines, edge="edge-1", unix_offset_s=0.0)
    assert (log.owners, log.changes, log.lost, log.events) == ((), (), {}, ())
