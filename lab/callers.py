"""Callers of a local fabric, who speak recorded sentences."""

from lab.fabric import Fabric
from lab.places import Place
from lab.speech_files import caller_lines
from lab.twilio import CallPlan, Turn

__all__ = ["plan_call"]


def plan_call(
    fabric: Fabric, edge: Place, number: int, *, called: str, turns: int
) -> CallPlan:
    """Return what the caller with this *number* does.

    Args:
        fabric: Whom they call.
        edge: The edge their carrier asks.
        number: Of the caller; neighbours do not speak in unison.
        called: The number they dial, E.164.
        turns: How often they speak, and wait for an answer.
    """
    lines = caller_lines()
    said = [lines[(number + turn) % len(lines)] for turn in range(turns)]
    url = fabric.public_url(edge)
    return CallPlan(
        webhook_url=f"{url}/twilio/voice",
        status_callback=f"{url}/twilio/status",
        from_number=edge.caller,
        to_number=called,
        steps=tuple(Turn(line.audio) for line in said),
    )
