"""What the edges and the model stand-in of a local fabric wrote down of its calls."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from backhaul.errors import WarmlineError
from lab.fabric import Fabric

__all__ = ["Ledgers", "UnsettledError"]

_POLL_S: Final = 0.05
_PATIENCE_S: Final = 30.0


class UnsettledError(WarmlineError):
    """Calls ended for their callers, and not for the fabric."""

    code = "calls_unsettled"


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

    @classmethod
    async def of_ended(cls, fabric: Fabric) -> "Ledgers":
        """Ask when all calls have ended for everybody.

        A caller's last word is on its way to the model when the caller has hung up; it
        is there when the model's session has been closed.

        Raises:
            UnsettledError: Half a minute has not been enough.
        """
        try:
            async with asyncio.timeout(_PATIENCE_S):
                ledgers = await cls.read(fabric)
                while ledgers.unsettled():
                    await asyncio.sleep(_POLL_S)
                    ledgers = await cls.read(fabric)
        except TimeoutError:
            raise UnsettledError(
                f"calls have ended, and still go on or have a session after"
                f" {_PATIENCE_S:.0f} s"
            ) from None
        return ledgers

    def unsettled(self) -> list[str]:
        """Return the calls that go on, or whose last session does."""
        return [
            sid
            for sid, call in self.calls.items()
            if call["state"] != "ended" or self._has_session(sid)
        ]

    def _has_session(self, call_sid: str) -> bool:
        return bool(self.last_session(call_sid).get("state", "closed") != "closed")

    def last_session(self, call_sid: str) -> dict[str, Any]:
        """Return the session that a call had last; empty if it had none."""
        sessions = self.calls.get(call_sid, {}).get("session_ids") or [""]
        return self.sessions.get(sessions[-1], {})
