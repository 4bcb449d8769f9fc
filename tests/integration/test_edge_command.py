"""``python -m edge`` as an operator meets it."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from backhaul.pki import Role, create_authority, issue
from tests.integration.services import started

CONFIG = """
[regions.home]
agents = ["127.0.0.1:1"]
[profiles.desk]
instructions = "Be kind."
[numbers]
"+14155550100" = "desk"
[edges.edge-1]
public_url = "https://voice.example.com"
[edge]
listen_host = "127.0.0.1"
http_port = 0
media_port = 0
admin_port = 0
"""
DEADLINE_S = 50
TOKEN = "letmein-edge"
AUTH_TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    create_authority(tmp_path / "pki")
    issue(tmp_path / "pki", Role.EDGE, "edge-1")
    path = tmp_path / "warmline.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def environment(**changes: str) -> dict[str, str]:
    ours = ("EDGE_", "TWILIO_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    given = {"TWILIO_AUTH_TOKEN": AUTH_TOKEN, "EDGE_ADMIN_TOKEN": TOKEN}
    return kept | given | changes


def rewrite(config: Path, text: str) -> None:
    config.write_text(text)


async def finished(
    config: Path, environ: dict[str, str], *options: str
) -> tuple[int | None, str, list[str]]:
    async with (
        asyncio.timeout(DEADLINE_S),
        started("edge", config, environ, *options) as process,
    ):
        out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode().splitlines()


async def refused(
    config: Path, environ: dict[str, str], *options: str, busy_port: int
) -> list[str]:
    """Return why the edge did not start: before it touched any port."""
    # A port that is taken would be noticed, and be another exit code.
    ports = {
        "EDGE_HTTP_PORT": str(busy_port),
        "EDGE_MEDIA_PORT": str(busy_port),
        "EDGE_ADMIN_PORT": str(busy_port),
    }
    code, out, problems = await finished(config, environ | ports, *options)
    assert (code, out) == (2, "")
    return problems


async def test_a_missing_file_is_one_line(tmp_path: Path, busy_port: int) -> None:
    path = tmp_path / "nowhere.toml"
    (problem,) = await refused(path, environment(), busy_port=busy_port)
    assert "nowhere.toml" in problem


async def test_a_file_that_is_no_toml_is_one_line(config: Path, busy_port: int) -> None:
    rewrite(config, "[regions\n")
    (problem,) = await refused(config, environment(), busy_port=busy_port)
    assert "warmline.toml" in problem


@pytest.mark.parametrize("value", ["", ",", None])
async def test_a_missing_auth_token_is_one_line(
    config: Path, busy_port: int, value: str | None
) -> None:
    environ = environment(TWILIO_AUTH_TOKEN=value or "")
    if value is None:
        del environ["TWILIO_AUTH_TOKEN"]
    (problem,) = await refused(config, environ, busy_port=busy_port)
    assert "twilio_auth_tokens" in problem


async def test_every_problem_is_named_at_once(config: Path, busy_port: int) -> None:
    public = next(line for line in CONFIG.splitlines() if line.startswith("public_url"))
    rewrite(config, CONFIG.replace(public, ""))
    environ = environment()
    del environ["TWILIO_AUTH_TOKEN"]
    problems = await refused(config, environ, busy_port=busy_port)
    assert sorted(problems) == [
        "edges.edge-1.public_url: missing",
        "edges.edge-1.twilio_auth_tokens: missing",
    ]


@pytest.mark.parametrize("table", ["[edge]\n", "[edges.edge-1]\n"])
async def test_unknown_keys_are_refused(
    config: Path, busy_port: int, table: str
) -> None:
    rewrite(config, CONFIG.replace(table, f"{table}http_prot = 80\n"))
    (problem,) = await refused(config, environment(), busy_port=busy_port)
    assert "http_prot" in problem


async def test_unknown_variables_are_refused_all_at_once(
    config: Path, busy_port: int
) -> None:
    environ = environment(EDGE_HTTP_PROT="80", EDGE_COLOUR="blue")
    problems = await refused(config, environ, busy_port=busy_port)
    assert sorted(problems) == [
        "EDGE_COLOUR: unknown environment variable",
        "EDGE_HTTP_PROT: unknown environment variable",
    ]


async def test_missing_certificates_are_one_line(config: Path, busy_port: int) -> None:
    (config.parent / "pki" / "edge-edge-1.pem").unlink()
    (problem,) = await refused(config, environment(), busy_port=busy_port)
    assert "link certificates" in problem


async def test_an_unknown_edge_is_refused(config: Path, busy_port: int) -> None:
    problems = await refused(
        config, environment(), "--name", "edge-9", busy_port=busy_port
    )
    assert problems
    assert all(problem.startswith("edges.edge-9") for problem in problems)


async def test_check_config_shows_settings_and_hides_secrets(config: Path) -> None:
    environ = environment(EDGE_HTTP_PORT="8123")
    code, out, err = await finished(config, environ, "--check-config")
    assert (code, err) == (0, [])
    shown = json.loads(out)
    assert shown["http_port"] == 8123
    assert shown["public_url"] == "https://voice.example.com"
    assert shown["twilio_auth_tokens"] == ["***"]
    assert shown["admin_token"] == "***"
    assert AUTH_TOKEN not in out
    assert TOKEN not in out


@pytest.mark.parametrize("port", ["HTTP", "MEDIA", "ADMIN"])
async def test_a_busy_port_is_one_line(config: Path, busy_port: int, port: str) -> None:
    environ = environment(**{f"EDGE_{port}_PORT": str(busy_port)})
    code, out, err = await finished(config, environ, "--announce")
    assert (code, out) == (1, "")
    *_, problem = err
    assert problem.startswith("cannot start: ")
    assert str(busy_port) in problem
    assert not any("Traceback" in line for line in err)


async def test_announces_itself_and_stops(config: Path) -> None:
    async with (
        asyncio.timeout(DEADLINE_S),
        started("edge", config, environment(), "--announce") as process,
        aiohttp.ClientSession() as http,
    ):
        assert process.stdout is not None
        announced: dict[str, Any] = json.loads(await process.stdout.readline())
        assert announced.pop("ready") is True
        assert announced.pop("name") == "edge-1"
        assert set(announced) == {"http_port", "media_port", "admin_port"}
        assert all(0 < port < 1 << 16 for port in announced.values())
        await check_listeners(http, announced)
        process.send_signal(signal.SIGTERM)
        out, err = await process.communicate()
        assert (process.returncode, out) == (0, b"")
        logged = [json.loads(line)["event"] for line in err.splitlines()]
        assert logged.index("edge.started") < logged.index("edge.drained")
        assert AUTH_TOKEN.encode() not in err
        assert TOKEN.encode() not in err


async def check_listeners(http: aiohttp.ClientSession, ports: dict[str, int]) -> None:
    admin = f"http://127.0.0.1:{ports['admin_port']}"
    right = {"Authorization": f"Bearer {TOKEN}"}
    wrong = {"Authorization": "Bearer wrong"}
    for path in ("/livez", "/readyz", "/metrics", "/api/fabric", "/nothing"):
        async with http.get(admin + path, headers=wrong) as response:
            assert response.status == 401
    async with http.get(f"{admin}/livez", headers=right) as response:
        assert response.status == 200
    # Without any agent it answers no call, and says so.
    async with http.get(f"{admin}/readyz", headers=right) as response:
        assert response.status == 503
    public = f"http://127.0.0.1:{ports['http_port']}"
    async with http.post(f"{public}/twilio/voice", data={"CallSid": "x"}) as response:
        assert response.status == 403
    async with http.get(f"{public}/metrics", headers=right) as response:
        assert response.status == 404


async def test_without_an_admin_token_there_is_no_admin_listener(
    config: Path,
) -> None:
    async with (
        asyncio.timeout(DEADLINE_S),
        started(
            "edge", config, environment(EDGE_ADMIN_TOKEN=""), "--announce"
        ) as process,
    ):
        assert process.stdout is not None
        announced = json.loads(await process.stdout.readline())
        assert announced["admin_port"] == 0
        assert announced["http_port"] > 0
        process.send_signal(signal.SIGTERM)
        await process.communicate()
        assert process.returncode == 0


async def test_an_interrupt_ends_it_too(config: Path) -> None:
    async with (
        asyncio.timeout(DEADLINE_S),
        started("edge", config, environment(), "--announce") as process,
    ):
        assert process.stdout is not None
        await process.stdout.readline()
        process.send_signal(signal.SIGINT)
        await process.communicate()
        assert process.returncode == 0
