"""What an operator may look at in an agent: readiness and the state of its pools."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from backhaul.admin import View
from region_agent.listener import LinkListener
from region_agent.phrases import Phrases
from region_agent.sessions import Sessions

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
        without_stock = [
            name for name, warm in self._sessions.warm().items() if not warm
        ]
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
            "capacity": {
                "limit": self._sessions.capacity.limit,
                "in_use": self._sessions.capacity.in_use,
            },
            "profiles": {
                name: {
                    "floor": sessions.profile.warm_sessions,
                    "sessions": asdict(sessions.pool.stock()),
                    "counters": asdict(sessions.pool.counters),
                    "greeting_ready": name in self._phrases.ready,
                }
                for name, sessions in self._sessions.by_profile.items()
            },
        }
