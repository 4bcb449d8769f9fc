"""Warmline as `peers.py` starts it: an edge, and the agents of its regions."""

import asyncio
import contextlib
import secrets
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import aiohttp
import orjson
import tomli_w
from peers_bed import EDGE, Bed, FailedRunError, Running, free_port, last_words

from backhaul.child import start_child, stop_child
from backhaul.clock import monotonic_s
from backhaul.store import open_store

__all__ = ["run_warmline"]

_START_S: Final = 60.0
_GRACE_S: Final = 3.0
_WARM: Final = 30


@asynccontextmanager
async def run_warmline(bed: Bed, transport: str) -> AsyncIterator[Running]:
    """Start an edge and its agents; return when all have sessions in stock."""
    auth_token, admin_token = secrets.token_hex(16), secrets.token_hex(16)
    http_port = free_port()
    config = _config(bed, transport, http_port)
    environment = bed.environment() | {
        "TWILIO_AUTH_TOKEN": auth_token,
        "EDGE_ADMIN_TOKEN": admin_token,
    }
    async with AsyncExitStack() as stack:
        agents: list[int] = []
        for region in bed.region_names:
            store = await open_store(None, data_dir=bed.directory / region)
            stack.push_async_callback(store.aclose)
            given = environment | {
                "REDIS_URL": store.url,
                "REGION_AGENT_REGION": region,
            }
            agents += [
                await _start_agent(stack, bed, config, region, given)
                for _ in range(bed.agents)
            ]
        edge, ports = await _service(stack, bed, EDGE, config, environment)
        await _wait_warm(ports["admin_port"], admin_token, config)
        yield Running(
            {"edge": (edge,), "agent": tuple(agents)},
            bed.url("http", http_port, "/twilio/voice"),
            auth_token,
            "AC" + secrets.token_hex(16),
        )


def _config(bed: Bed, transport: str, http_port: int) -> dict[str, Any]:
    """Return the deployment file, still without agents."""
    media_port = free_port()
    most = bed.calls + _WARM
    edge: dict[str, Any] = {
        "listen_host": "127.0.0.1",
        "http_port": http_port,
        "media_port": media_port,
        "admin_port": 0,
        "target_calls": most,
        "max_calls": most,
        "link_transport": transport,
    }
    if bed.tls:
        edge["tls_certificate"] = str(bed.files.certificate)
        edge["tls_key"] = str(bed.files.key)
    return {
        "numbers": {"*": "desk"},
        "profiles": {
            "desk": {
                "instructions": "Answer the telephone.",
                "silence": {"after_s": 0},
                "warm_sessions": min(_WARM, bed.calls),
            }
        },
        "regions": {region: {"agents": []} for region in bed.region_names},
        "edges": {
            EDGE: {
                "public_url": _signed_base(bed, http_port),
                "media_url": bed.url("ws", media_port),
            }
        },
        "edge": edge,
        "region_agent": {
            "listen_host": "127.0.0.1",
            "listen_port": 0,
            "admin_port": 0,
            "realtime_url": bed.url("ws", bed.model_port, "/v1/realtime"),
            "max_calls": most,
            "target_calls": most,
            "opens_per_s": 200,
            "max_concurrent_opens": 50,
        },
    }


async def _start_agent(
    stack: AsyncExitStack,
    bed: Bed,
    config: dict[str, Any],
    region: str,
    environment: dict[str, str],
) -> int:
    """Start one more agent of *region*, which *config* names then; return its id."""
    addresses = config["regions"][region]["agents"]
    name = f"{region}-{len(addresses) + 1}"
    given = environment | {"REGION_AGENT_AGENT_ID": name}
    pid, ports = await _service(stack, bed, name, config, given)
    addresses.append(f"127.0.0.1:{ports['link_port']}")
    return pid


def _signed_base(bed: Bed, port: int) -> str:
    """Return how Twilio signs the webhook's URL: without the port, if it is HTTPS."""
    return f"https://{bed.host}" if bed.tls else bed.url("http", port)


async def _service(
    stack: AsyncExitStack,
    bed: Bed,
    name: str,
    config: dict[str, Any],
    environment: dict[str, str],
) -> tuple[int, dict[str, Any]]:
    """Start a service of ours; return its process id and what it announced.

    Raises:
        FailedRunError: If it does not come up.
    """
    module = "edge" if name == EDGE else "region_agent"
    path, log = bed.directory / f"{name}.toml", bed.directory / f"{name}.log"
    path.write_text(tomli_w.dumps(config))
    process = await start_child(
        [sys.executable, "-m", module, "--config", str(path), "--announce"],
        env=environment,
        stdout=PIPE,
        log_path=log,
    )
    stack.push_async_callback(stop_child, process, grace_s=_GRACE_S)
    assert process.stdout is not None  # noqa: S101 - narrows the type
    line = b""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_START_S):
            line = await process.stdout.readline()
    if not line:
        raise FailedRunError(f"{name} did not start: {last_words(log)}")
    return process.pid, orjson.loads(line)


async def _wait_warm(admin_port: int, admin_token: str, config: dict[str, Any]) -> None:
    """Wait until the edge sees every agent with a full stock."""
    headers = {"Authorization": f"Bearer {admin_token}"}
    url = f"http://127.0.0.1:{admin_port}/api/fabric"
    sessions = config["profiles"]["desk"]["warm_sessions"]
    wanted = sum(len(region["agents"]) for region in config["regions"].values())
    give_up_at = monotonic_s() + _START_S
    async with aiohttp.ClientSession(headers=headers) as http:
        while monotonic_s() < give_up_at:
            async with http.get(url) as response:
                fabric = await response.json()
            agents = [one for region in fabric["regions"] for one in region["agents"]]
            warm = [one["warm"].get("desk", 0) >= sessions for one in agents]
            if sum(warm) == wanted:
                return
            await asyncio.sleep(0.1)
    raise FailedRunError("there was never a full stock")
