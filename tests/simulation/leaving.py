"""An edge that is told to stop: its calls go to the other edge; see `edge.leaving`."""

from typing import TYPE_CHECKING, Final

from edge.core.call_events import CallState, SentAway
from edge.core.departure import Departure, Standing

if TYPE_CHECKING:
    from tests.simulation.call import Call
    from tests.simulation.edge import Edge

_LOOK_S: Final = 0.1
_BEGINS_AFTER_S: Final = 0.3
_ALL_AFTER_S: Final = 4.0


class LeavingCalls:
    """What becomes of the calls of one edge that drains."""

    def __init__(self, edge: "Edge") -> None:
        self._edge = edge
        now = edge.clock.now
        self._departure = Departure(
            begin_at=now + _BEGINS_AFTER_S, all_by=now + _ALL_AFTER_S
        )

    def look(self) -> None:
        """Let those go whose time has come, and look again soon."""
        edge = self._edge
        edge.later(_LOOK_S, self.look)
        calls = {sid: call for sid, call in edge.calls.items() if _is_able(call)}
        standings = [Standing(sid, _is_quiet(call)) for sid, call in calls.items()]
        for sid in self._departure.due(standings, now=edge.clock.now):
            if any(one.takes_calls for one in edge.world.edges):
                edge.world.note("leaves", sid)
                calls[sid].refuge = True
                calls[sid].feed(SentAway(takes_s=0.0))


def _is_able(call: "Call") -> bool:
    return call.state is CallState.BRIDGED and call.attached


def _is_quiet(call: "Call") -> bool:
    now = call.edge.clock.now
    return not call.carrier.speaks and call.line.playout.dry_at <= now
