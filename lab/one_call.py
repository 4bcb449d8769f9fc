"""``warmline call``: one stand-in call, and its timeline."""

import os
import secrets
import sys
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from lab.fabric_file import recall_fabric
from lab.speech_files import caller_lines
from lab.twilio import CallPlan, CallReport, Turn, TwilioStandIn
from region_agent.core.wav import UnusableAudioError, mulaw_from_wav

__all__ = ["run_call"]

_TURNS = 2


def run_call(
    edge: str,
    *,
    audio: Path | None,
    caller: str,
    called: str,
    save: Path | None,
    json: bool,
) -> int:
    """Place one call through the edge at *edge*; return 0 when it was answered."""
    base = edge.rstrip("/")
    account_sid, auth_token = _account(base)
    try:
        said = _read_speech(audio)
        if save is not None:
            save.touch()  # better to know before the call than after it
    except (OSError, UnusableAudioError) as exc:
        return _refuse(str(exc))
    if not auth_token:
        return _refuse("no auth token: set TWILIO_AUTH_TOKEN")
    if urlsplit(base).scheme not in {"http", "https"}:
        return _refuse(f"--edge: {edge!r} is not an http(s) URL")
    plan = CallPlan(
        webhook_url=f"{base}/twilio/voice",
        status_callback=f"{base}/twilio/status",
        from_number=caller,
        to_number=called,
        turns=tuple(Turn(audio) for audio in said),
    )
    report = uvloop.run(_place(account_sid, auth_token, plan))
    if save is not None and report.answered:
        report.save_wav(save)
    _show(report, json=json)
    return 0 if report.answered else 1


def _account(base: str) -> tuple[str, str]:
    """Return account and token: of the running fabric for its edges, else our own."""
    fabric = recall_fabric()
    if base in {edge["public_url"] for edge in fabric.get("edges", [])}:
        return fabric["account_sid"], fabric["twilio_auth_token"]
    auth_token = os.environ.get("TWILIO_AUTH_TOKEN", "")
    return "AC" + secrets.token_hex(16), auth_token


def _refuse(reason: str) -> int:
    sys.stderr.write(f"{reason}\n")
    return 2


async def _place(account_sid: str, auth_token: str, plan: CallPlan) -> CallReport:
    stand_in = TwilioStandIn(account_sid, auth_token)
    try:
        return await stand_in.place_call(plan)
    finally:
        await stand_in.aclose()


def _read_speech(path: Path | None) -> list[bytes]:
    if path is None:
        return [line.audio for line in caller_lines()[:_TURNS]]
    data = path.read_bytes()
    if not data:
        raise UnusableAudioError(f"{path} is empty")
    return [mulaw_from_wav(data) if data[:4] == b"RIFF" else data]


def _show(report: CallReport, *, json: bool) -> None:
    if json:
        sys.stdout.write(report.to_json() + "\n")
        return
    for at_ms, what in report.timeline:
        sys.stdout.write(f"{at_ms:10.1f} ms  {what}\n")
