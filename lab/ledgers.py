"""What the edges and the model stand-in of a local fabric wrote down of its calls."""

from dataclasses import dataclass
from typing import Any

import aiohttp

from lab.fabric import Fabric

__all__ = ["Ledgers"]


@dataclass(frozen=True, slots=True)
class Ledgers:
    """A copy of all of them.

    Attributes:
        calls: Live ones and the last that ended, by CallSid, each with its ``edge``.
        sessions: By session id.
    """

    calls: dict[str, dict[str, Any]]
    sessions: dict[str, dict[str, Any]]

    @classmethod
    async def read(cls, fabric: Fabric) -> "Ledgers":
        """Ask everybody."""
        headers = {"Authorization": f"Bearer {fabric.admin_token}"}
        calls: dict[str, dict[str, Any]] = {}
        async with aiohttp.ClientSession() as http:
            for edge in fabric.describe()["edges"]:
                url = f"{edge['admin_url']}/api/calls"
                async with http.get(url, headers=headers) as response:
                    found = await response.json()
                for call in (*found["live"], *found["recent"]):
                    calls[call["call_sid"]] = {**call, "edge": edge["name"]}
            async with http.get(f"{fabric.control_url()}/lab/sessions") as response:
                listed = await response.json()
        return cls(calls, {session["id"]: session for session in listed["sessions"]})

    def last_session(self, call_sid: str) -> dict[str, Any]:
        """Return the session that a call had last; empty if it had none."""
        sessions = self.calls.get(call_sid, {}).get("session_ids") or [""]
        return self.sessions.get(sessions[-1], {})
