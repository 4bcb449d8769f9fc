"""``warmline call``: one stand-in call, and its timeline."""

import os
import secrets
import sys
from pathlib import Path

import uvloop
from rich.console import Console

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
    fabric = recall_fabric()
    auth_token = os.environ.get("TWILIO_AUTH_TOKEN") or fabric.get(
        "twilio_auth_token", ""
    )
    if not auth_token:
        sys.stderr.write("no auth token: set TWILIO_AUTH_TOKEN\n")
        return 2
    try:
        said = _read_speech(audio)
    except (OSError, UnusableAudioError) as exc:
        sys.stderr.write(f"{audio}: {exc}\n")
        return 2
    account_sid = fabric.get("account_sid", "AC" + secrets.token_hex(16))
    base = edge.rstrip("/")
    plan = CallPlan(
        webhook_url=f"{base}/twilio/voice",
        status_callback=f"{base}/twilio/status",
        from_number=caller,
        to_number=called,
        turns=tuple(Turn(audio) for audio in said),
    )
    report = uvloop.run(_place(account_sid, auth_token, plan))
    if save is not None:
        report.save_wav(save)
    _show(report, json=json)
    return 0 if report.answered else 1


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
    return [mulaw_from_wav(data) if data[:4] == b"RIFF" else data]


def _show(report: CallReport, *, json: bool) -> None:
    if json:
        sys.stdout.write(report.to_json() + "\n")
        return
    console = Console(highlight=False)
    for at_ms, what in report.timeline:
        console.print(f"{at_ms:10.1f} ms  {what}", markup=False)
