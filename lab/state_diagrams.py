"""Draws every state machine from its table: ``python -m lab.state_diagrams``."""

import sys
from collections.abc import Mapping
from enum import Enum
from typing import Any

from backhaul.core import (
    ceiling,
    circuit_breaker,
    link,
    task_protection,
    warm_pool_events,
)
from edge.core import call_machine, region_health, transport_choice
from region_agent.core import (
    attachment,
    departure,
    outbox,
    session_ladder,
    turns,
)

__all__ = ["render"]

_HEAD = """# State machines

Drawn from the tables in the code by `python -m lab.state_diagrams`; a test fails when
this page is stale. What leaves a state as it is has no arrow.
"""

_Table = Mapping[Any, Enum]
"""From (state, cause) to the next state."""


def render() -> str:
    """Return the page."""
    machines: tuple[tuple[str, str, _Table], ...] = (
        ("A call at the edge", "edge/core/call_machine.py", call_machine.TRANSITIONS),
        ("A link", "backhaul/core/link.py", link.TRANSITIONS),
        (
            "A session",
            "region_agent/core/session_ladder.py",
            session_ladder.TRANSITIONS,
        ),
        (
            "The ceiling of an agent, or of an edge",
            "backhaul/core/ceiling.py",
            ceiling.TRANSITIONS,
        ),
        (
            "A circuit breaker",
            "backhaul/core/circuit_breaker.py",
            circuit_breaker.TRANSITIONS,
        ),
        (
            "A call and its edge, at the agent",
            "region_agent/core/attachment.py",
            attachment.TRANSITIONS,
        ),
        (
            "The model in a conversation",
            "region_agent/core/turns.py",
            turns.FLOOR_TRANSITIONS,
        ),
        (
            "The caller in a conversation",
            "region_agent/core/turns.py",
            turns.CALLER_TRANSITIONS,
        ),
        (
            "A call that leaves for another session",
            "region_agent/core/departure.py",
            departure.TRANSITIONS,
        ),
        (
            "A link in its pool, and a connection to a tool",
            "backhaul/core/warm_pool_events.py",
            warm_pool_events.TRANSITIONS,
        ),
        (
            "The transport of an agent's calls",
            "edge/core/transport_choice.py",
            transport_choice.TRANSITIONS,
        ),
        (
            "A region, to an edge",
            "edge/core/region_health.py",
            region_health.TRANSITIONS,
        ),
        (
            "Protection of a task on ECS",
            "backhaul/core/task_protection.py",
            task_protection.TRANSITIONS,
        ),
        ("An outbox of events", "region_agent/core/outbox.py", outbox.TRANSITIONS),
    )
    return _HEAD + "".join(_section(*machine) for machine in machines)


def _section(title: str, path: str, table: _Table) -> str:
    arrows: dict[tuple[str, str], list[str]] = {}
    for (state, cause), new in table.items():
        if new is not state:
            arrows.setdefault((state.name, new.name), []).append(_name(cause))
    lines = [
        f"    {old} --> {new}: {', '.join(causes)}"
        for (old, new), causes in arrows.items()
    ]
    first = next(iter(table))[0].name
    body = "\n".join(["stateDiagram-v2", f"    [*] --> {first}", *lines])
    return f"\n## {title}\n\n`{path}`\n\n```mermaid\n{body}\n```\n"


def _name(cause: object) -> str:
    if isinstance(cause, Enum):
        return cause.name.lower()
    return cause.__name__ if isinstance(cause, type) else str(cause)


if __name__ == "__main__":
    sys.stdout.write(render())
