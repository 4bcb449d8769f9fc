"""``warmline up`` and ``warmline demo`` as whole programs, from start to end."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import redis.asyncio as redis

from lab.speech_files import caller_lines, greeting_line
from lab.twilio import CallPlan, CallReport, Turn, TwilioStandIn

# Ten processes start here, on a machine that may be busy with something else.
pytestmark = pytest.mark.timeout(180)

ROOT = Path(__file__).parents[2]
START_S = 90.0
END_S = 60.0
UP = ("up", "--regions", "1", "--agents", "1", "--edges", "1", "--json")
NOT_OURS = ("EDGE_", "REGION_AGENT_", "TWILIO_", "OPENAI_", "REDIS_")


async def eventually(condition: Callable[[], bool], *, within_s: float = 20.0) -> None:
    """Wait until *condition* holds; fail when it never does."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.fixture
def directory() -> Iterator[Path]:
    """Return where the programs put their files; short, as unix sockets want it."""
    with tempfile.TemporaryDirectory(
        prefix="wl-", ignore_cleanup_errors=True
    ) as directory:
        yield Path(directory)


@contextlib.asynccontextmanager
async def warmline(
    directory: Path, *arguments: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a command in a process group of its own, as a shell does."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(NOT_OURS)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "lab.cli", *arguments),
        env=kept | {"TMPDIR": str(directory)},
        cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@dataclass(frozen=True)
class Up:
    """A fabric that runs, as its own description tells it."""

    process: asyncio.subprocess.Process
    said: dict[str, Any]
    children: dict[int, str]
    """Command lines of all its processes, by pid."""

    @property
    def edge(self) -> dict[str, Any]:
        (edge,) = self.said["edges"]
        assert isinstance(edge, dict)
        return edge

    async def end(self) -> tuple[int | None, bytes]:
        """Wait for the end; return the exit code and what else was printed."""
        async with asyncio.timeout(END_S):
            rest, _ = await self.process.communicate()
        return self.process.returncode, rest


@contextlib.asynccontextmanager
async def up(directory: Path) -> AsyncIterator[Up]:
    async with warmline(directory, *UP) as process:
        assert process.stdout is not None
        async with asyncio.timeout(START_S):
            line = await process.stdout.readline()
        yield Up(process, json.loads(line), children_of(process.pid))


def children_of(parent: int) -> dict[int, str]:
    """Return the command line of every living child of a process."""
    return {
        int(path.name): command_of(path)
        for path in Path("/proc").iterdir()
        if path.name.isdigit() and parent_of(path) == parent
    }


def status_of(path: Path) -> list[str]:
    # The name in the middle may hold blanks; what follows it does not.
    try:
        text = (path / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ["Z", "0"]
    return text.rpartition(")")[2].split()


def parent_of(path: Path) -> int:
    return int(status_of(path)[1])


def command_of(path: Path) -> str:
    with contextlib.suppress(OSError):
        return (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


def is_gone(pid: int) -> bool:
    return status_of(Path(f"/proc/{pid}"))[0] == "Z"


def files_in(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if not path.is_dir()]


def announced_pids(said: dict[str, Any]) -> list[int]:
    agents = [agent for region in said["regions"] for agent in region["agents"]]
    return [part["pid"] for part in (*said["edges"], *agents)]


# A program outside


async def place_call(fabric: Up) -> CallReport:
    base, said = fabric.edge["public_url"], fabric.said
    stand_in = TwilioStandIn(said["account_sid"], said["twilio_auth_token"])
    try:
        return await stand_in.place_call(
            CallPlan(
                webhook_url=f"{base}/twilio/voice",
                status_callback=f"{base}/twilio/status",
                from_number="+14155550123",
                to_number=said["numbers"][0],
                steps=(Turn(caller_lines()[0].audio),),
                reply_timeout_s=30.0,
            )
        )
    finally:
        await stand_in.aclose()


async def ask_edge(fabric: Up, path: str, token: str) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession() as http,
        http.get(fabric.edge["admin_url"] + path, headers=headers) as response,
    ):
        text = await response.text()
        return response.status, json.loads(text) if response.status == 200 else text


async def record_of(fabric: Up, call_sid: str) -> dict[str, Any]:
    """Return what the edge remembers of an ended call."""
    token = fabric.edge["admin_token"]
    async with asyncio.timeout(20):
        while True:
            status, calls = await ask_edge(fabric, "/api/calls", token)
            assert status == 200
            for call in calls["recent"]:
                if call["call_sid"] == call_sid:
                    assert calls["live"] == []
                    assert isinstance(call, dict)
                    return call
            await asyncio.sleep(0.05)


async def test_up_tells_an_outside_program_all_it_needs(directory: Path) -> None:
    async with up(directory) as fabric:
        check_description(fabric)
        for url in fabric.said["redis"].values():
            client = redis.from_url(url)
            assert await client.ping()
            await client.aclose()
        token = fabric.edge["admin_token"]
        assert await ask_edge(fabric, "/readyz", token) == (
            200,
            {"ready": True, "without_stock": []},
        )
        assert (await ask_edge(fabric, "/readyz", "wrong"))[0] == 401
        report = await place_call(fabric)
        check_call(report, await record_of(fabric, report.call_sid))
        fabric.process.send_signal(signal.SIGINT)
        assert await fabric.end() == (0, b"")
        assert all(is_gone(pid) for pid in fabric.children)
        assert files_in(directory) == []


def check_description(fabric: Up) -> None:
    said = fabric.said
    assert set(said) == {
        "edges",
        "regions",
        "realtime_url",
        "model_control_url",
        "redis",
        "twilio_auth_token",
        "account_sid",
        "numbers",
        "profiles",
        "console_url",
    }
    assert set(fabric.edge) == {
        "name",
        "pid",
        "public_url",
        "admin_url",
        "admin_token",
    }
    (region,) = said["regions"]
    assert set(region) == {"name", "agents"}
    (agent,) = region["agents"]
    assert set(agent) == {"id", "pid", "admin_url", "admin_token"}
    assert set(said["redis"]) == {region["name"]}
    assert said["realtime_url"].startswith("ws://127.0.0.1:")
    assert said["numbers"]
    assert set(announced_pids(said)) <= set(fabric.children)
    assert len(fabric.children) == 5
    for part in ("-m edge", "-m region_agent", "-m lab.realtime", "-m lab.wan"):
        assert sum(part in command for command in fabric.children.values()) == 1


def check_call(report: CallReport, call: dict[str, Any]) -> None:
    assert report.answered
    assert report.ended_by == "caller"
    assert report.errors == ()
    assert report.lost_frames == 0
    assert [turn.reply_first_audio_ms is not None for turn in report.turns] == [True]
    assert call["warm"] is True
    assert call["end_reason"] == "caller_hung_up"
    # The edge counts at its own end of the Media Stream what the caller counts here.
    assert call["caller_bytes"] == report.sent.bytes > 0
    assert call["model_bytes"] == report.received.bytes
    greeting = greeting_line().audio
    assert report.received_audio[: len(greeting)] == greeting
    assert report.received.bytes > len(greeting)


async def test_ctrl_c_in_a_terminal_ends_everything(directory: Path) -> None:
    async with up(directory) as fabric:
        # A terminal tells every process of the group, not only the first one.
        os.killpg(fabric.process.pid, signal.SIGINT)
        assert await fabric.end() == (0, b"")
        assert all(is_gone(pid) for pid in fabric.children)
        assert files_in(directory) == []


async def test_a_killed_fabric_leaves_no_process_behind(directory: Path) -> None:
    async with up(directory) as fabric:
        assert len(fabric.children) == 5
        assert set(announced_pids(fabric.said)) <= set(fabric.children)
        fabric.process.kill()
        await fabric.process.wait()
        await eventually(lambda: all(is_gone(pid) for pid in fabric.children))


async def test_the_demo_answers_every_call_byte_for_byte(directory: Path) -> None:
    options = ("--calls", "3", "--regions", "2", "--agents", "1", "--edges", "2")
    async with warmline(directory, "demo", *options, "--json") as process:
        async with asyncio.timeout(170):
            out, _ = await process.communicate()
    assert process.returncode == 0, out
    (line,) = out.splitlines()
    figures = json.loads(line)
    check_figures(figures)
    assert figures["calls"] == figures["answered"] == 3
    assert figures["warm_hits"] == figures["bytes_exact"] == 3
    assert sum(region["calls"] for region in figures["per_region"].values()) == 3
    for region in figures["per_region"].values():
        check_figures(region)
    outage = figures["outage"]
    assert outage["calls"] == outage["kept"] == 3
    assert outage["struck"] >= 1
    assert outage["restore_ms"]["p99"] > 0
    assert outage["share"] < 1 < outage["back_after_s"]
    assert files_in(directory) == []


def check_figures(figures: dict[str, Any]) -> None:
    counts = {"calls", "answered", "warm_hits", "bytes_exact"}
    assert counts | {"first_audio_ms", "turn_ms"} <= set(figures)
    for name in ("first_audio_ms", "turn_ms"):
        assert set(figures[name]) == {"p50", "p95", "p99"}
        assert figures[name]["p50"] <= figures[name]["p95"] <= figures[name]["p99"]
