"""``python -m region_agent`` with several workers, as an operator meets it."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from backhaul.pki import Role, create_authority, issue
from lab.realtime import RealtimeLatency, RealtimeServer, RealtimeServerSettings
from tests.integration.services import started

pytestmark = pytest.mark.timeout(120)

CONFIG = """
[regions.home]
agents = []
[profiles.desk]
instructions = "Be kind."
greeting = "Hello."
greeting_file = "hello.ulaw"
warm_sessions = 1
"""
DEADLINE_S = 60
TOKEN = "letmein"


@dataclass
class Agent:
    """A running one."""

    process: asyncio.subprocess.Process
    http: aiohttp.ClientSession
    announced: dict[str, Any]

    async def get(self, path: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.announced['admin_port']}{path}"
        async with self.http.get(url) as response:
            return response.status, await response.text()

    async def wait_ready(self, *, ready: bool = True) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while (await self.get("/readyz"))[0] != (200 if ready else 503):
                await asyncio.sleep(0.02)

    async def pids(self) -> dict[str, int]:
        """Return the processes of the workers, by number."""
        text = (await self.get("/metrics"))[1]
        lines = [line for line in text.splitlines() if line.startswith("worker_pid{")]
        return {
            line.split('"')[1]: int(float(line.rpartition(" ")[2])) for line in lines
        }


@contextlib.asynccontextmanager
async def running(directory: Path, **changes: str) -> AsyncIterator[Agent]:
    create_authority(directory / "pki")
    issue(directory / "pki", Role.REGION_AGENT, "home")
    (directory / "hello.ulaw").write_bytes(b"\xff" * 800)
    config = directory / "warmline.toml"
    config.write_text(CONFIG)
    ours = ("REGION_AGENT_", "OPENAI_", "REDIS_")
    async with contextlib.AsyncExitStack() as stack:
        settings = RealtimeServerSettings(latency=RealtimeLatency.none())
        server = await stack.enter_async_context(RealtimeServer(settings))
        environ = {
            **{k: v for k, v in os.environ.items() if not k.startswith(ours)},
            "REGION_AGENT_WORKERS": "2",
            "REGION_AGENT_REGION": "home",
            "REGION_AGENT_AGENT_ID": "home-1",
            "REGION_AGENT_LISTEN_HOST": "127.0.0.1",
            "REGION_AGENT_LISTEN_PORT": "0",
            "REGION_AGENT_ADMIN_PORT": "0",
            "REGION_AGENT_ADMIN_TOKEN": TOKEN,
            "REGION_AGENT_REALTIME_URL": server.url,
            "OPENAI_API_KEY": "sk-lab",
            **changes,
        }
        process = await stack.enter_async_context(
            started("region_agent", config, environ, "--announce")
        )
        assert process.stdout is not None
        async with asyncio.timeout(DEADLINE_S):
            line = await process.stdout.readline()
        headers = {"Authorization": f"Bearer {TOKEN}"}
        http = await stack.enter_async_context(aiohttp.ClientSession(headers=headers))
        yield Agent(process, http, json.loads(line))


async def test_several_workers_are_one_agent_to_who_operates_it(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        assert len(set(agent.announced["link_ports"])) == 2
        await agent.wait_ready()
        metrics = (await agent.get("/metrics"))[1]
        assert 'capacity_calls{limit="max",worker="0"} 50.0' in metrics
        assert 'capacity_calls{limit="max",worker="1"} 50.0' in metrics
        assert metrics.count("# TYPE capacity_calls gauge") == 1
        pools = json.loads((await agent.get("/api/pool"))[1])["workers"]
        assert [one["agent_id"] for one in pools] == ["home-1-0", "home-1-1"]
        status, text = await agent.get("/workers/1/api/pool")
        assert (status, json.loads(text)["agent_id"]) == (200, "home-1-1")
        assert (await agent.get("/workers/1/api/none"))[0] == 404
        assert (await agent.get("/workers/2/api/pool"))[0] == 404

        agent.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(DEADLINE_S):
            assert await agent.process.wait() == 0


async def test_a_worker_that_dies_is_started_again_beside_the_others(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as agent:
        await agent.wait_ready()
        before = await agent.pids()
        os.kill(before["0"], signal.SIGKILL)
        await agent.wait_ready(ready=False)
        await agent.wait_ready()
        after = await agent.pids()
        assert after["0"] != before["0"]
        assert after["1"] == before["1"]
        metrics = (await agent.get("/metrics"))[1]
        assert 'worker_restarts_total{worker="0"} 1.0' in metrics


async def test_a_worker_that_cannot_start_is_why_none_does(tmp_path: Path) -> None:
    environ = {"REGION_AGENT_LISTEN_HOST": "192.0.2.1"}
    with pytest.raises(json.JSONDecodeError):
        async with running(tmp_path, **environ):
            pass
