"""``warmline links`` against an edge and an agent that really run."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from backhaul.pki import Role, create_authority, issue
from lab.free_port import free_port
from lab.realtime import RealtimeServer, RealtimeServerSettings
from tests.integration.services import started

CONFIG = """
[regions.home]
agents = ["127.0.0.1:{port}"]
[profiles.desk]
instructions = "Be kind."
warm_sessions = 1
[numbers]
"+14155550100" = "desk"
[edges.edge-1]
public_url = "https://voice.example.com"
[edge]
listen_host = "127.0.0.1"
link_transport = "quic"
link_headroom = 0
http_port = 0
media_port = 0
admin_port = 0
[region_agent]
region = "home"
listen_host = "127.0.0.1"
listen_port = {port}
admin_port = 0
"""
DEADLINE_S = 50
TOKEN = "letmein-edge"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    create_authority(tmp_path / "pki")
    issue(tmp_path / "pki", Role.EDGE, "edge-1")
    issue(tmp_path / "pki", Role.REGION_AGENT, "home")
    path = tmp_path / "warmline.toml"
    path.write_text(CONFIG.format(port=free_port()))
    return path


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    ours = ("EDGE_", "TWILIO_", "REGION_AGENT_", "OPENAI_", "REDIS_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    return kept | {
        "TWILIO_AUTH_TOKEN": "0123456789abcdef0123456789abcdef",
        "EDGE_ADMIN_TOKEN": TOKEN,
        "TMPDIR": str(tmp_path),
        "NO_COLOR": "1",
        "TERM": "dumb",
        "COLUMNS": "160",
    }


async def links(
    environ: dict[str, str], edge: str, *options: str
) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "lab.cli", "links", "--edge", edge, *options),
        env=environ,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def edge_running(config: Path, environ: dict[str, str]) -> AsyncIterator[str]:
    """Run an edge; yield its admin URL."""
    async with started("edge", config, environ, "--announce") as process:
        assert process.stdout is not None
        ports = json.loads(await process.stdout.readline())
        yield f"http://127.0.0.1:{ports['admin_port']}"
        process.send_signal(signal.SIGTERM)
        await process.communicate()


async def snapshot(environ: dict[str, str], url: str) -> list[dict[str, Any]]:
    code, out, err = await links(environ, url, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["edge"] == "edge-1"
    rows: list[dict[str, Any]] = found["links"]
    return rows


async def test_links_to_a_running_agent_are_shown_with_their_figures(
    config: Path, environ: dict[str, str]
) -> None:
    async with (
        asyncio.timeout(DEADLINE_S),
        RealtimeServer(RealtimeServerSettings()) as model,
    ):
        await check_links(config, environ, model.url)


async def check_links(config: Path, environ: dict[str, str], model_url: str) -> None:
    of_agent = environ | {
        "REGION_AGENT_REALTIME_URL": model_url,
        "OPENAI_API_KEY": "sk-test",
        "REGION_AGENT_ADMIN_TOKEN": "x",
    }
    async with (
        started("region_agent", config, of_agent, "--announce") as agent,
        edge_running(config, environ) as url,
    ):
        assert agent.stdout is not None
        await agent.stdout.readline()
        rows = await snapshot(environ, url)
        while {row["state"] for row in rows} != {"ready", "standby"} or any(
            row["rtt_ms"] is None or row["loss_sent_percent"] is None for row in rows
        ):
            rows = await snapshot(environ, url)
        assert [(row["transport"], row["state"]) for row in rows] == [
            ("quic", "ready"),
            ("websocket", "standby"),
        ]
        assert {row["region"] for row in rows} == {"home"}
        assert all(row["agent"] != row["address"] for row in rows)
        assert all(row["rtt_ms"] > 0 and row["age_s"] > 0 for row in rows)
        assert all(row["channels"] == 0 for row in rows)
        code, out, err = await links(environ, url)
        assert (code, err) == (0, "")
        assert "edge-1: 2 links" in out
        assert all(word in out for word in ("quic", "websocket", "standby", "RTT"))


async def test_links_without_a_peer_are_shown_as_opening(
    config: Path, environ: dict[str, str]
) -> None:
    async with asyncio.timeout(DEADLINE_S), edge_running(config, environ) as url:
        rows = await snapshot(environ, url)
        while not rows:  # between two dials there may be none
            rows = await snapshot(environ, url)
        assert {row["state"] for row in rows} == {"opening"}
        assert all(row["rtt_ms"] is None for row in rows)


async def test_a_wrong_token_and_a_wrong_url_are_one_line(
    config: Path, environ: dict[str, str]
) -> None:
    async with asyncio.timeout(DEADLINE_S), edge_running(config, environ) as url:
        wrong = await links(environ | {"EDGE_ADMIN_TOKEN": "wrong"}, url)
        missing = await links(environ | {"EDGE_ADMIN_TOKEN": ""}, url)
        nobody = await links(environ, "http://127.0.0.1:1")
        nonsense = await links(environ, "voice.example.com")
    for (code, out, err), wanted, word in (
        (wrong, 1, "refuses the admin token"),
        (missing, 2, "EDGE_ADMIN_TOKEN"),
        (nobody, 1, "127.0.0.1:1"),
        (nonsense, 2, "--edge"),
    ):
        assert (code, out) == (wanted, "")
        (line,) = err.splitlines()
        assert word in line
