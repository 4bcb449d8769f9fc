"""What those see who look on while an edge works: fabric and calls, in few bytes."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from backhaul.clock import monotonic_s, unix_s
from backhaul.core.ceiling import Ceiling
from edge.admin import describe_agent
from edge.agent import Agent
from edge.call import Call
from edge.call_trace import CallTrace
from edge.calls import Calls
from edge.core.call_story import Leg
from edge.links import AgentLinks
from edge.settings import EdgeSettings

__all__ = ["EdgeLive"]

_LIVE_SHOWN: Final = 500
_ENDED_SHOWN: Final = 50
_COLUMNS: Final = (
    *("call_sid", "profile", "state", "region", "agent", "warm", "started_unix_s"),
    *("first_audio_ms", "legs", "end_reason"),
)
"""Of a call in the list; rows and not objects, for there may be hundreds."""


class EdgeLive:
    """Snapshots of one edge; see `backhaul.live.LiveView`."""

    def __init__(
        self,
        settings: EdgeSettings,
        *,
        links: AgentLinks,
        calls: Calls,
        region_row: Callable[..., Mapping[str, object]],
        is_draining: Callable[[], bool],
        ceiling: Ceiling,
    ) -> None:
        self._settings = settings
        self._ceiling = ceiling
        self._links = links
        self._calls = calls
        self._region_row = region_row
        self._is_draining = is_draining

    def snapshot(self) -> dict[str, Any]:
        """Return how things stand; nothing in it is personal."""
        settings, live = self._settings, self._calls.live()
        ended = self._calls.last_ended(_ENDED_SHOWN)
        return {
            "kind": "edge",
            "name": settings.name,
            "at_unix_s": round(unix_s(), 3),
            "latitude": settings.latitude,
            "longitude": settings.longitude,
            "draining": self._is_draining(),
            "active_calls": len(live),
            "max_calls": self._ceiling.limit,
            "regions": self._regions(),
            "calls": {
                "columns": _COLUMNS,
                "live": [_live_row(call) for call in live[-_LIVE_SHOWN:]],
                "ended": [_ended_row(told, trace) for told, trace in ended],
            },
        }

    def call(self, call_sid: str) -> dict[str, Any] | None:
        """Return everything about a call, live or among the last ones."""
        call = self._calls.get(call_sid)
        if call is not None:
            told = {"call_sid": call_sid, "started_unix_s": call.started_unix_s}
            return self._full(told | call.summary(), call.session.trace, live=True)
        for told, trace in self._calls.last_ended(_LIVE_SHOWN):
            if told["call_sid"] == call_sid:
                return self._full(told, trace, live=False)
        return None

    def _full(
        self, told: Mapping[str, object], trace: CallTrace, *, live: bool
    ) -> dict[str, Any]:
        return {
            **told,
            "edge": self._settings.name,
            "live": live,
            "trace_id": trace.trace_id,
            "timeline": trace.timeline(),
            "routes": trace.routes(),
        }

    def _regions(self) -> list[dict[str, Any]]:
        now = monotonic_s()
        agents: dict[str, list[dict[str, object]]] = {}
        for agent in self._links.agents.values():
            agents.setdefault(agent.region, []).append(_agent_row(agent))
        return [
            {
                "name": name,
                "latitude": region.latitude,
                "longitude": region.longitude,
                **self._region_row(name, now=now),
                "agents": agents.get(name, []),
            }
            for name, region in self._settings.regions.items()
        ]


def _agent_row(agent: Agent) -> dict[str, object]:
    quality = agent.seats.chosen.quality()
    return {
        **describe_agent(agent),
        "late_p99_ms": round(quality.late_p99_s * 1000, 2),
        "loss_percent": round(quality.loss * 100, 2),
    }


def _live_row(call: Call) -> tuple[object, ...]:
    agent, story = call.session.agent, call.story
    return (
        call.call_sid,
        call.profile,
        call.state.value,
        agent.region if agent else None,
        agent.agent_id if agent else None,
        story.leg.warm,
        round(call.started_unix_s, 3),
        _first_audio_ms(story.legs[0]),
        len(story.legs),
        None,
    )


def _ended_row(told: Mapping[str, object], trace: CallTrace) -> tuple[object, ...]:
    legs = trace.story.legs
    place = legs[-1].place
    return (
        told["call_sid"],
        told["profile"],
        told["state"],
        told["region"],
        place.agent if place else None,
        legs[-1].warm,
        told["started_unix_s"],
        _first_audio_ms(legs[0]),
        len(legs),
        told["end_reason"],
    )


def _first_audio_ms(leg: Leg) -> float | None:
    waited_s = leg.first_audio_s
    return None if waited_s is None else round(waited_s * 1000, 1)
