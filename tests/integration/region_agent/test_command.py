"""``python -m region_agent`` as an operator meets it."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from backhaul.pki import Role, create_authority, issue
from lab.realtime import RealtimeLatency, RealtimeServer, RealtimeServerSettings
from tests.integration.embedded_metrics import Datum, read_metrics
from tests.integration.services import started

CONFIG = """
[regions.home]
agents = []
[profiles.desk]
instructions = "Be kind."
greeting = "Hello."
greeting_file = "hello.ulaw"
"""
DEADLINE_S = 30
TOKEN = "letmein"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    create_authority(tmp_path / "pki")
    issue(tmp_path / "pki", Role.REGION_AGENT, "home")
    (tmp_path / "hello.ulaw").write_bytes(b"\xff" * 800)
    path = tmp_path / "warmline.toml"
    path.write_text(CONFIG)
    return path


def environment(realtime_url: str, **changes: str) -> dict[str, str]:
    ours = ("REGION_AGENT_", "OPENAI_", "REDIS_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    given = {
        "REGION_AGENT_REGION": "home",
        "REGION_AGENT_AGENT_ID": "home-1",
        "REGION_AGENT_LISTEN_HOST": "127.0.0.1",
        "REGION_AGENT_LISTEN_PORT": "0",
        "REGION_AGENT_ADMIN_PORT": "0",
        "REGION_AGENT_ADMIN_TOKEN": TOKEN,
        "REGION_AGENT_REALTIME_URL": realtime_url,
        "OPENAI_API_KEY": "sk-lab",
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }
    return kept | given | changes


async def finished(
    config: Path, environ: dict[str, str], *options: str
) -> tuple[int | None, str, str]:
    async with (
        asyncio.timeout(DEADLINE_S),
        started("region_agent", config, environ, *options) as process,
    ):
        out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode()


async def get(
    http: aiohttp.ClientSession, url: str, token: str | None = TOKEN
) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    async with http.get(url, headers=headers) as response:
        return response.status, await response.text()


async def wait_ready(http: aiohttp.ClientSession, admin: str) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while (await get(http, f"{admin}/readyz"))[0] != 200:
            await asyncio.sleep(0.02)


async def test_runs_announces_itself_and_stops(config: Path) -> None:
    settings = RealtimeServerSettings(latency=RealtimeLatency.none())
    async with (
        asyncio.timeout(DEADLINE_S),
        RealtimeServer(settings) as model,
        started(
            "region_agent", config, environment(model.url), "--announce"
        ) as process,
        aiohttp.ClientSession() as http,
    ):
        assert process.stdout is not None
        announced: dict[str, Any] = json.loads(await process.stdout.readline())
        assert announced["ready"] is True
        assert announced["agent_id"] == "home-1"
        assert announced["link_port"] > 0
        admin = f"http://127.0.0.1:{announced['admin_port']}"
        await wait_ready(http, admin)
        await check_admin(http, admin)
        process.send_signal(signal.SIGTERM)
        out, err = await process.communicate()
        assert process.returncode == 0
        assert out == b""
        logged = [json.loads(line)["event"] for line in err.splitlines()]
        assert logged[0] == "agent.started"
        assert logged[-1] == "agent.drained"
        assert b"sk-lab" not in err


async def test_metrics_for_cloudwatch_are_lines_of_the_log(config: Path) -> None:
    settings = RealtimeServerSettings(latency=RealtimeLatency.none())
    async with RealtimeServer(settings) as model:
        environ = environment(
            model.url,
            REGION_AGENT_CLOUDWATCH_NAMESPACE="Warmline",
            ECS_AGENT_URI="http://127.0.0.1:9/api",
        )
        async with (
            asyncio.timeout(DEADLINE_S),
            started("region_agent", config, environ) as process,
        ):
            assert process.stdout is not None
            log = b""
            while b"_aws" not in log:
                log = await process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            out, _ = await process.communicate()
    first, last = (
        {datum.name: datum for datum in read_metrics(part.decode())}
        for part in (log, out)
    )
    assert first.keys() == last.keys() >= {"active_calls", "profiles_without_stock"}
    assert first["active_calls"] == Datum(
        "Warmline", "active_calls", {"Region": "home"}, (0,), 1
    )


async def check_admin(http: aiohttp.ClientSession, admin: str) -> None:
    for path in ("/livez", "/readyz", "/metrics", "/api/pool", "/nothing"):
        for token in ("", "wrong", "letmein2", "lëtmein"):
            assert (await get(http, admin + path, token))[0] == 401
    for path in ("/metrics", "/api/pool", "/nothing"):
        assert (await get(http, admin + path, None))[0] == 401
    assert await get(http, f"{admin}/readyz", None) == (200, '{"ok": true}')
    assert (await get(http, f"{admin}/nothing"))[0] == 404
    assert (await get(http, f"{admin}/livez"))[0] == 200
    _, pool = await get(http, f"{admin}/api/pool")
    desk = json.loads(pool)["profiles"]["desk"]
    assert desk["sessions"]["verified"] == 2
    assert desk["greeting_ready"] is True
    _, metrics = await get(http, f"{admin}/metrics")
    assert 'pool_sessions{profile="desk",state="verified"} 2.0' in metrics
    assert 'session_opens_total{outcome="opened",profile="desk"} 2.0' in metrics
    assert 'realtime_events_total{outcome="malformed"} 0.0' in metrics


async def test_check_config_shows_settings_and_hides_secrets(config: Path) -> None:
    environ = environment("wss://example.com/v1/realtime")
    code, out, err = await finished(config, environ, "--check-config")
    assert (code, err) == (0, "")
    assert json.loads(out)["realtime_url"] == "wss://example.com/v1/realtime"
    assert json.loads(out)["openai_api_key"] == "***"


async def test_wrong_settings_end_with_one_line_each(config: Path) -> None:
    environ = environment("http://x", OPENAI_API_KEY="")
    code, out, err = await finished(config, environ, "--announce")
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "region_agent.realtime_url: 'http://x' is not a wss:// URL",
        "region_agent.openai_api_key: empty; set OPENAI_API_KEY",
    ]


async def test_an_unusable_recording_ends_it(config: Path) -> None:
    (config.parent / "hello.ulaw").unlink()
    environ = environment("ws://127.0.0.1:1/v1/realtime")
    code, out, err = await finished(config, environ, "--announce")
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "profiles.desk.greeting_file: hello.ulaw No such file or directory"
    ]


async def test_missing_certificates_end_it(config: Path) -> None:
    environ = environment(
        "ws://127.0.0.1:1/v1/realtime", REGION_AGENT_PKI_DIR="nowhere"
    )
    code, out, err = await finished(config, environ, "--announce")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert "link certificates" in err
