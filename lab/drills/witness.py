"""Collects what everybody wrote down of the calls, when they are over."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any, Final

import aiohttp

from backhaul.clock import monotonic_s, unix_s
from lab.drills.alignment import FRAME_BYTES
from lab.drills.history import CallSeen, History, SessionSeen
from lab.drills.logs import EdgeLog, read_log
from lab.drills.scene import Scene
from lab.speech_files import lines_in
from lab.twilio_report import CallReport

__all__ = ["Testimony", "collect"]

_MS: Final = 1000
_SETTLE_S: Final = 10.0
_POLL_S: Final = 0.1


class Testimony:
    """What was collected.

    Attributes:
        history: Of the calls.
        logs: Of the edges, by name.
    """

    def __init__(self, history: History, logs: dict[str, EdgeLog]) -> None:
        self.history = history
        self.logs = logs

    def events(self, name: str) -> list[tuple[float, dict[str, Any]]]:
        """Return the events *name* in all edges' logs: when, and their facts."""
        found = [
            (at, facts)
            for log in self.logs.values()
            for at, event, facts in log.events
            if event == name
        ]
        return sorted(found, key=lambda one: one[0])


async def collect(scene: Scene) -> Testimony:
    """Return what there is to know of the calls that have ended."""
    await _settle(scene)
    logs = {
        edge.name: await asyncio.to_thread(
            _read, scene.fabric.log_path(edge.name), edge.name
        )
        for edge in scene.fabric.edges
    }
    owners = tuple(owner for log in logs.values() for owner in log.owners)
    wanted = {owner.session_id for owner in owners}
    sessions: dict[str, SessionSeen] = {}
    for url in scene.fabric.control_urls():
        sessions |= await _sessions(scene.http, url, wanted)
    history = History(
        calls=tuple(map(_seen, scene.reports)),
        sessions=sessions,
        owners=owners,
        changes=tuple(one for log in logs.values() for one in log.changes),
        tool_runs=tuple(scene.desk.runs),
        reported_lost={
            sid: count for log in logs.values() for sid, count in log.lost.items()
        },
        lost_on_links=await _lost_on_links(scene),
    )
    return Testimony(history, logs)


async def _settle(scene: Scene) -> None:
    """Wait until the edges have heard that the calls are over, if they live."""
    give_up_at = monotonic_s() + _SETTLE_S
    while monotonic_s() < give_up_at:
        try:
            if not await scene.live_calls():
                return
        except (aiohttp.ClientError, TimeoutError):
            return
        await asyncio.sleep(_POLL_S)


async def _lost_on_links(scene: Scene) -> int:
    """Return the bytes of callers that never came to agents that are still there."""
    frames = 0.0
    for region in scene.fabric.regions:
        for agent in scene.agents(region):
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                name = "link_frames_total"
                frames += await scene.metric(agent, name, outcome="missing")
    return int(frames) * FRAME_BYTES


def _read(path: Path, edge: str) -> EdgeLog:
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    offset_s = unix_s() - monotonic_s()
    return read_log(text.splitlines(), edge=edge, unix_offset_s=offset_s)


async def _sessions(
    http: aiohttp.ClientSession, control_url: str, wanted: set[str]
) -> dict[str, SessionSeen]:
    async with http.get(f"{control_url}/lab/sessions") as response:
        ledger = await response.json()
    found: dict[str, SessionSeen] = {}
    for session in ledger["sessions"]:
        if session["id"] not in wanted:
            continue
        url = f"{control_url}/lab/sessions/{session['id']}/heard"
        async with http.get(url) as response:
            heard = await response.read()
        found[session["id"]] = SessionSeen(
            session["id"],
            heard,
            session["heard_from"],
            session["heard_until"],
            session["closing_at"],
        )
    return found


def _seen(report: CallReport) -> CallSeen:
    streams = tuple(
        report.started_at + at / _MS
        for at, event in report.timeline
        if event == "start"
    )
    wrong = (f"{one.step}: {one.detail}" for one in report.steps if not one.ok)
    first_ms, webhook_ms = report.first_audio_ms, report.webhook_ms
    return CallSeen(
        call_sid=report.call_sid,
        streams=streams,
        ended_by=report.ended_by,
        problems=tuple(wrong),
        errors=tuple(f"{one.code} {one.detail}" for one in report.errors),
        sent=report.sent_audio,
        sent_from=streams[0] if streams else report.started_at,
        lines=lines_in(report.voice),
        first_sound_s=None if first_ms is None else first_ms / _MS,
        webhook_s=None if webhook_ms is None else webhook_ms / _MS,
        began_at=report.started_at,
        ended_at=report.started_at + report.duration_s,
    )
