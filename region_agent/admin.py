"""What an operator may look at in an agent: readiness and the state of its pools."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from backhaul.admin import View
from backhaul.clock import monotonic_s
from region_agent.listener import LinkListener
from region_agent.phrases import Phrases
from region_agent.sessions import ProfileSessions, Sessions

__all__ = ["AgentViews"]


class AgentViews:
    """The views of the agent's admin listener."""

    def __init__(
        self,
        *,
        agent_id: str,
        region: str,
        sessions: Sessions,
        listener: LinkListener,
        phrases: Phrases,
    ) -> None:
        self._agent_id = agent_id
        self._region = region
        self._sessions = sessions
        self._listener = listener
        self._phrases = phrases

    def by_path(self) -> dict[str, View]:
        """Return every view by its path."""
        return {"/readyz": self._ready, "/api/pool": self._show_pool}

    def _ready(self) -> tuple[int, Mapping[str, Any]]:
        """Ready: a call of any profile could be answered warm, right now."""
        without_stock = self._sessions.without_stock()
        without_greeting = self._phrases.missing()
        draining = self._listener.draining
        ready = not (without_stock or without_greeting or draining)
        return 200 if ready else 503, {
            "ready": ready,
            "draining": draining,
            "without_stock": without_stock,
            "without_greeting": without_greeting,
        }

    def _show_pool(self) -> tuple[int, Mapping[str, Any]]:
        return 200, {
            "agent_id": self._agent_id,
            "region": self._region,
            "draining": self._listener.draining,
            "links": self._listener.link_count,
            "active_calls": self._listener.active_calls,
            "surge_factor": self._sessions.surge_factor,
            "capacity": {
                "limit": self._sessions.capacity.limit,
                "target": self._sessions.capacity.target,
                "in_use": self._sessions.capacity.in_use,
            },
            "profiles": {
                name: {
                    "floor": sessions.profile.warm_sessions,
                    "target": sessions.pool.demand.target,
                    "sessions": asdict(sessions.pool.stock()),
                    "each_session": sessions.session_rows(),
                    "measured": _measured(sessions),
                    "counters": asdict(sessions.pool.counters),
                    "greeting_ready": name in self._phrases.ready,
                }
                for name, sessions in self._sessions.by_profile.items()
            },
        }


def _measured(sessions: ProfileSessions) -> dict[str, float]:
    pool, now = sessions.pool, monotonic_s()
    measured = {
        "arrivals_per_s": pool.demand.arrivals.per_s(now=now),
        "refill_s": pool.demand.refill.value,
        "open_s": pool.open_s,
        "proof_s": pool.proof_s,
        "first_audio_s": sessions.first_audio.value,
    }
    return {name: round(value, 6) for name, value in measured.items()}
