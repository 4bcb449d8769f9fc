"""What the edges' logs tell of calls."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from lab.drills.history import Change, Owner

__all__ = ["EdgeLog", "read_log"]


@dataclass(frozen=True, slots=True)
class EdgeLog:
    """One edge's log, read.

    Attributes:
        lost: By call: bytes of its caller that nobody got, as told at its end.
        events: Everything else that is told, by name and time: (at, event, facts).
    """

    owners: tuple[Owner, ...]
    changes: tuple[Change, ...]
    lost: dict[str, int]
    events: tuple[tuple[float, str, dict[str, Any]], ...]


def read_log(lines: Iterable[str], *, edge: str, unix_offset_s: float) -> EdgeLog:
    """Read the lines of an edge's log.

    Args:
        lines: JSON objects; what is none is passed over.
        edge: Its name.
        unix_offset_s: Unix time less monotonic time, of this host.
    """
    owners: list[Owner] = []
    changes: list[Change] = []
    lost: dict[str, int] = {}
    events: list[tuple[float, str, dict[str, Any]]] = []
    for at, event, facts in _events(lines, unix_offset_s):
        match event:
            case "call.attached":
                owners.append(_owner(at, facts, edge))
            case "call.state_changed":
                sid = facts["call_sid"]
                old, new, why = facts["old"], facts["new"], facts["reason"]
                changes.append(Change(at, sid, old, new, why, edge))
            case "call.ended":
                lost[facts["call_sid"]] = facts["caller_bytes_lost"]
            case _:
                events.append((at, event, facts))
    return EdgeLog(tuple(owners), tuple(changes), lost, tuple(events))


def _events(
    lines: Iterable[str], unix_offset_s: float
) -> Iterator[tuple[float, str, dict[str, Any]]]:
    for line in lines:
        try:
            facts = msgspec.json.decode(line, type=dict[str, Any])
            when = datetime.fromisoformat(facts["timestamp"])
            event = str(facts["event"])
        except (msgspec.MsgspecError, KeyError, ValueError):
            continue  # a library's, or the last words of a process that was killed
        yield when.timestamp() - unix_offset_s, event, facts


def _owner(at: float, facts: dict[str, Any], edge: str) -> Owner:
    return Owner(
        at=at,
        call_sid=facts["call_sid"],
        epoch=facts["epoch"],
        agent=facts["agent"],
        session_id=facts["session_id"],
        region=facts["region"],
        edge=edge,
    )
