"""What those see who look on while an agent works: pools and capacity."""

from collections.abc import Iterable
from math import isfinite
from typing import Any, Final

from backhaul.clock import monotonic_s, unix_s
from region_agent.conversation_book import ConversationBook
from region_agent.core.session_ladder import SessionState
from region_agent.listener import LinkListener
from region_agent.sessions import ProfileSessions, Sessions

__all__ = ["AgentLive"]

_WAITING: Final = frozenset({SessionState.CONFIGURED, SessionState.VERIFIED})


class AgentLive:
    """Snapshots of one agent; see `backhaul.live.LiveView`."""

    def __init__(
        self,
        *,
        agent_id: str,
        region: str,
        sessions: Sessions,
        listener: LinkListener,
        book: ConversationBook,
    ) -> None:
        self._agent_id = agent_id
        self._region = region
        self._sessions = sessions
        self._listener = listener
        self._book = book

    def snapshot(self) -> dict[str, Any]:
        """Return how things stand."""
        capacity = self._sessions.capacity
        return {
            "kind": "agent",
            "name": self._agent_id,
            "region": self._region,
            "at_unix_s": round(unix_s(), 3),
            "draining": self._listener.draining,
            "links": self._listener.link_count,
            "active_calls": self._listener.active_calls,
            "surge_factor": self._sessions.surge_factor,
            "capacity": {
                "limit": capacity.limit,
                "target": capacity.target,
                "in_use": capacity.in_use,
            },
            "profiles": {
                name: _profile_row(sessions)
                for name, sessions in self._sessions.by_profile.items()
            },
        }

    def call(self, call_sid: str) -> dict[str, Any] | None:
        """Return the conversations of a call, if there were any."""
        rows = self._book.rows(call_sid)
        if not rows:
            return None
        origin = {"agent": self._agent_id, "region": self._region}
        return {"call_sid": call_sid, **origin, "conversations": rows}


def _profile_row(sessions: ProfileSessions) -> dict[str, Any]:
    pool, now = sessions.pool, monotonic_s()
    stock, seen = pool.stock(), pool.counters
    waiting = [one for one in pool.reports(now=now) if one.state in _WAITING]
    surge_left_s = pool.demand.surge.ends_at - now
    return {
        "floor": sessions.profile.warm_sessions,
        "target": pool.demand.target,
        "connecting": stock.connecting + stock.configured,
        "warm": stock.verified,
        "leased": stock.leased,
        "in_call": stock.in_call,
        "oldest_s": _longest(one.age_s for one in waiting),
        "last_proof_s": _longest(one.proof_age_s for one in waiting),
        "exhausted": seen.refused + seen.cold_grants,
        "failed": seen.failed,
        "zombies": seen.zombies,
        "surge_left_s": round(surge_left_s, 1) if isfinite(surge_left_s) else 0.0,
    }


def _longest(ages_s: Iterable[float | None]) -> float | None:
    known = [age_s for age_s in ages_s if age_s is not None]
    return round(max(known), 1) if known else None
