"""``warmline call``: one stand-in call, and its timeline or what came of its script."""

import os
import secrets
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import uvloop

from lab.call_waterfall import ask_timeline, setup_of, talk_of
from lab.conversation_script import ConversationScript, ScriptError, read_script
from lab.fabric_file import recall_fabric
from lab.scripted_call import ScriptResult, run_script
from lab.speech_files import caller_lines
from lab.twilio import CallPlan, CallReport, Turn, TwilioStandIn
from lab.waterfall import draw
from region_agent.core.wav import UnusableAudioError, mulaw_from_wav

__all__ = ["run_call", "run_scripted_call"]

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
    if problem := _problem(base, auth_token):
        return _refuse(problem)
    plan = CallPlan(
        webhook_url=f"{base}/twilio/voice",
        status_callback=f"{base}/twilio/status",
        from_number=caller,
        to_number=called,
        steps=tuple(Turn(audio) for audio in said),
    )
    report, timeline = uvloop.run(_place(account_sid, auth_token, plan, base))
    if save is not None and report.answered:
        report.save_wav(save)
    _show(report, timeline, json=json)
    return 0 if report.answered else 1


def run_scripted_call(
    edge: str, *, script: Path, model_control: str, save: Path | None, json: bool
) -> int:
    """Hold the conversation in the file *script*; return 0 when all went as it says."""
    base = edge.rstrip("/")
    account_sid, auth_token = _account(base)
    if problem := _problem(base, auth_token):
        return _refuse(problem)
    control = model_control or _control_url(base)
    try:
        conversation = read_script(script)
        if save is not None:
            save.touch()
        result = uvloop.run(
            _converse(account_sid, auth_token, conversation, base, control)
        )
    except (OSError, ScriptError) as exc:
        return _refuse(str(exc))
    if save is not None and result.call.answered:
        result.call.save_wav(save)
    _show_result(result, json=json)
    return 0 if result.ok else 1


def _problem(base: str, auth_token: str) -> str:
    if not auth_token:
        return "no auth token: set TWILIO_AUTH_TOKEN"
    if urlsplit(base).scheme not in {"http", "https"}:
        return f"--edge: {base!r} is not an http(s) URL"
    return ""


def _control_url(base: str) -> str:
    """Return the model's control URL when *base* is an edge of the running fabric."""
    fabric = recall_fabric()
    ours = base in {edge["public_url"] for edge in fabric.get("edges", [])}
    return str(fabric.get("model_control_url", "")) if ours else ""


async def _converse(
    account_sid: str,
    auth_token: str,
    script: ConversationScript,
    base: str,
    control: str,
) -> ScriptResult:
    stand_in = TwilioStandIn(account_sid, auth_token)
    try:
        return await run_script(
            script,
            stand_in=stand_in,
            webhook_url=f"{base}/twilio/voice",
            status_callback=f"{base}/twilio/status",
            model_control=control,
        )
    finally:
        await stand_in.aclose()


def _show_result(result: ScriptResult, *, json: bool) -> None:
    if json:
        sys.stdout.write(msgspec.json.encode(result.to_dict()).decode() + "\n")
        return
    for step in result.steps:
        mark = "ok  " if step.ok else "FAIL"
        at = "" if step.ended_at_ms is None else f"{step.ended_at_ms / 1000:.1f} s"
        detail = f": {step.detail}" if step.detail else ""
        sys.stdout.write(f"{mark} {at:>8}  {step.step}{detail}\n")
    sys.stdout.write(f"heard: {', '.join(result.heard) or 'nothing known'}\n")


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


async def _place(
    account_sid: str, auth_token: str, plan: CallPlan, base: str
) -> tuple[CallReport, list[dict[str, Any]]]:
    """Return what came of the call, for its caller and for the edge at *base*."""
    stand_in = TwilioStandIn(account_sid, auth_token)
    try:
        report = await stand_in.place_call(plan)
    finally:
        await stand_in.aclose()
    for edge in recall_fabric().get("edges", []):
        if edge["public_url"] == base:
            url, token = edge["admin_url"], edge["admin_token"]
            return report, await ask_timeline(url, token, report.call_sid)
    return report, []


def _read_speech(path: Path | None) -> list[bytes]:
    if path is None:
        return [line.audio for line in caller_lines()[:_TURNS]]
    data = path.read_bytes()
    if not data:
        raise UnusableAudioError(f"{path} is empty")
    return [mulaw_from_wav(data) if data[:4] == b"RIFF" else data]


def _show(report: CallReport, timeline: list[dict[str, Any]], *, json: bool) -> None:
    if json:
        shown = {**report.to_dict(), "edge_timeline": timeline}
        sys.stdout.write(msgspec.json.encode(shown).decode() + "\n")
        return
    for steps in (setup_of(report, timeline), talk_of(report, timeline)):
        sys.stdout.writelines(f"{line}\n" for line in draw(steps))
    for error in report.errors:
        sys.stdout.write(f"error {error.code}: {error.detail}\n")
