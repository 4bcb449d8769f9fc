"""Sends the calls of an edge that stops to other edges, where their sessions follow.

A call leaves by the end of its Media Stream: the carrier asks what comes next, is told
to ask another edge, and that edge takes the session; see `edge.rescue`.
"""

import asyncio
import contextlib
from typing import Final

import structlog

from backhaul.clock import monotonic_s
from backhaul.core.g711 import energy
from edge.call import Call
from edge.calls import Calls
from edge.core.call_events import CallState, SentAway
from edge.core.departure import Departure, Standing
from edge.handover import HandOver
from edge.metrics import EdgeMetrics
from edge.settings import EdgeSettings

__all__ = ["LeavingCalls"]

_LOOK_EVERY_S: Final = 0.1
_LEFT_BY_S: Final = 5.0
"""So long before the end all calls are on their way (s): the carrier needs two requests
and a handshake."""

_LAST_REQUEST_S: Final = 1.0
"""So long after a call's end the carrier may still tell us of it (s)."""

_LATELY_BYTES: Final = 3200
"""So much of a caller's audio is listened to, to know whether they speak: 400 ms."""
_QUIET_ENERGY: Final = 300.0**2
"""Speech on a telephone line is ten times as loud, noise rarely as much."""

_log = structlog.get_logger()


class LeavingCalls:
    """What becomes of the calls of an edge that drains."""

    def __init__(
        self,
        settings: EdgeSettings,
        *,
        calls: Calls,
        hand_over: HandOver,
        metrics: EdgeMetrics,
    ) -> None:
        """Know the calls, and where they can go."""
        self._settings = settings
        self._calls = calls
        self._hand_over = hand_over
        self._metrics = metrics

    async def run(self, left_s: float) -> None:
        """Return when no call is left, at the latest after *left_s* (s)."""
        if not len(self._calls):
            return
        now = monotonic_s()
        departure = Departure(
            begin_at=now + max(left_s - self._settings.handover_s, 0.0),
            all_by=now + max(left_s - _LEFT_BY_S, 0.0),
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left_s):
                while len(self._calls):
                    self._look(departure)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_LOOK_EVERY_S):
                            await self._calls.wait_empty()
                await asyncio.sleep(_LAST_REQUEST_S)

    def _look(self, departure: Departure) -> None:
        able = {call.call_sid: call for call in self._calls.live() if _is_able(call)}
        standings = [Standing(sid, _is_quiet(call)) for sid, call in able.items()]
        for call_sid in departure.due(standings, now=monotonic_s()):
            self._send_off(able[call_sid])

    def _send_off(self, call: Call) -> None:
        agent = call.session.agent
        url = "" if agent is None else self._hand_over.refuge(agent)
        if not url:
            return  # there may be one soon; else the caller comes back by themselves
        moment = "quiet" if _is_quiet(call) else "any"
        self._metrics.departures.labels(moment=moment).inc()
        _log.info("call.leaves", call_sid=call.call_sid, to=url, moment=moment)
        call.refuge = url
        call.feed(SentAway(takes_s=0.0))


def _is_able(call: Call) -> bool:
    # What is still on its way to the agent would be overtaken by the search for it.
    return call.state is CallState.BRIDGED and call.session.attached


def _is_quiet(call: Call) -> bool:
    """Tell whether nobody speaks, as far as can be told from here."""
    audio = call.session.memory.audio
    _, lately = audio.after(audio.end - _LATELY_BYTES)
    silent = all(energy(frame) < _QUIET_ENERGY for frame in lately)
    return silent and call.line.dry_at <= monotonic_s()
