"""The local fabric: every service as a real process that can be killed by name."""

import asyncio
import contextlib
import os
import secrets
import shutil
import socket
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp
import orjson
import tomli_w

from backhaul.child import start_child, stop_child
from backhaul.clock import monotonic_s
from backhaul.owned_directory import make_owned_directory
from backhaul.pki import Role, create_authority, issue
from backhaul.store import Store, open_store
from lab.fabric_options import FabricError, FabricOptions
from lab.places import (
    EDGE_PLACES,
    REGION_PLACES,
    Place,
    nearest_twilio_region,
    one_way_delay_ms,
)

__all__ = ["Fabric", "FabricError", "FabricOptions"]

_START_TIMEOUT_S = 60.0
_STOP_GRACE_S = 5.0
_SETTINGS_OF_ANY_FABRIC = {"EDGE_LINK_TRANSPORT"}
"""What may be tried out on the local fabric as it is in a real deployment."""


@dataclass(slots=True)
class _Running:
    """One process and what it said of itself when it was ready."""

    name: str
    process: asyncio.subprocess.Process
    ports: dict[str, Any]


class Fabric:
    """All processes of one local deployment.

    Use as an async context manager; nothing survives it, nor this process.
    """

    def __init__(
        self,
        options: FabricOptions,
        *,
        on_progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._options = options
        self._on_progress = on_progress
        self._processes: dict[str, _Running] = {}
        self._stores: dict[str, Store] = {}
        self._directory = make_owned_directory("warmline-fabric-")
        self._config: dict[str, Any] = tomllib.loads(options.config.read_text())
        self.admin_token = secrets.token_urlsafe(16)
        self.auth_token = secrets.token_hex(16)
        self._api_key = "sk-" + secrets.token_hex(16)
        self.account_sid = "AC" + secrets.token_hex(16)
        self.regions = REGION_PLACES[: options.regions]
        self.edges = EDGE_PLACES[: options.edges]
        self._edge_ports = {
            edge.name: (_free_port(), _free_port()) for edge in self.edges
        }

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def pid(self, name: str) -> int:
        """Return the process id of a part, for example ``us-east-1``."""
        return self._processes[name].process.pid

    def names(self) -> tuple[str, ...]:
        """Return the names of all processes that were started."""
        return tuple(self._processes)

    async def kill(self, name: str) -> None:
        """SIGKILL a part and wait until it is gone."""
        process = self._processes[name].process
        process.kill()
        await process.wait()

    async def stop(self, name: str, *, grace_s: float) -> int:
        """SIGTERM a part, SIGKILL it after *grace_s*, and return its exit code."""
        process = self._processes[name].process
        await stop_child(process, grace_s=grace_s)
        return await process.wait()

    async def start_again(self, name: str) -> None:
        """Start an agent that is gone once more, at the address that it had."""
        port: int = self._processes[name].ports["link_port"]
        await self._start_agent(name, port=port)

    def public_url(self, edge: Place) -> str:
        """Return where an edge takes webhooks."""
        return f"http://127.0.0.1:{self._processes[edge.name].ports['http_port']}"

    def control_url(self) -> str:
        """Return where the Realtime stand-in is inspected and made to misbehave."""
        url: str = self._processes["realtime"].ports["control_url"]
        return url

    def delay_ms(self, edge: Place, region: Place) -> float:
        """Return the one-way delay (ms) between an edge and a region."""
        return one_way_delay_ms(edge, region) if self._options.realistic else 0.0

    def describe(self) -> dict[str, Any]:
        """Return what a program outside needs to use the fabric."""
        return {
            "edges": [self._describe_edge(edge) for edge in self.edges],
            "regions": [
                {
                    "name": region.name,
                    "agents": [
                        self._describe_agent(name) for name in self._agent_names(region)
                    ],
                }
                for region in self.regions
            ],
            "realtime_url": self._realtime_url(),
            "model_control_url": self.control_url(),
            "redis": {name: store.url for name, store in self._stores.items()},
            "twilio_auth_token": self.auth_token,
            "account_sid": self.account_sid,
            "numbers": [name for name in self._config["numbers"] if name != "*"],
        }

    async def aclose(self) -> None:
        """End every process and remove what they wrote."""
        # Edges first, so that their calls end before the agents go.
        for running in reversed(list(self._processes.values())):
            await stop_child(running.process, grace_s=_STOP_GRACE_S)
        for store in self._stores.values():
            await store.aclose()
        shutil.rmtree(self._directory, ignore_errors=True)

    async def _start(self) -> None:
        self._on_progress("certificates")
        self._issue_certificates()
        self._on_progress("model stand-in")
        latency = "realistic" if self._options.realistic else "none"
        await self._run(
            "realtime",
            "lab.realtime",
            *("--latency", latency),
            environment={"LAB_API_KEYS": self._api_key},
        )
        for region in self.regions:
            self._on_progress(f"region {region.name}")
            self._stores[region.name] = await open_store(
                None, data_dir=self._directory / region.name
            )
        await self._start_agents()
        self._on_progress("WAN")
        await self._run("wan", "lab.wan", "--routes", self._wan_routes())
        for edge in self.edges:
            self._on_progress(edge.name)
        await asyncio.gather(*(self._start_edge(edge) for edge in self.edges))
        self._on_progress("warm sessions")
        await self._wait_warm()

    def _issue_certificates(self) -> None:
        pki = self._directory / "pki"
        create_authority(pki)
        for region in self.regions:
            issue(pki, Role.REGION_AGENT, region.name)
        for edge in self.edges:
            issue(pki, Role.EDGE, edge.name)

    async def _start_agents(self) -> None:
        profiles = self._config["profiles"]
        if self._options.warm_sessions is not None:
            for profile in profiles.values():
                profile["warm_sessions"] = self._options.warm_sessions
        self._write_config("agents", edges={}, regions=self._no_agents())
        await asyncio.gather(
            *(
                self._start_agent(name)
                for region in self.regions
                for name in self._agent_names(region)
            )
        )

    async def _start_agent(self, name: str, *, port: int = 0) -> None:
        region = name.rpartition("-")[0]
        config = self._directory / "agents.toml"
        await self._run(
            name,
            "region_agent",
            *("--config", str(config), "--announce"),
            environment={
                "REGION_AGENT_REGION": region,
                "REGION_AGENT_AGENT_ID": name,
                "REGION_AGENT_LISTEN_HOST": "127.0.0.1",
                "REGION_AGENT_LISTEN_PORT": str(port),
                "REGION_AGENT_ADMIN_PORT": "0",
                "REGION_AGENT_ADMIN_TOKEN": self.admin_token,
                "REGION_AGENT_REALTIME_URL": self._realtime_url(),
                "OPENAI_API_KEY": self._api_key,
                "REDIS_URL": self._stores[region].url,
            },
        )

    async def _start_edge(self, edge: Place) -> None:
        regions = {
            region.name: {
                "agents": [
                    f"127.0.0.1:{self._relay_port(edge, name)}"
                    for name in self._agent_names(region)
                ],
                "latitude": region.latitude,
                "longitude": region.longitude,
            }
            for region in self.regions
        }
        edges = {
            name: {
                "public_url": f"http://127.0.0.1:{ports[0]}",
                "media_url": f"ws://127.0.0.1:{ports[1]}",
                "latitude": place.latitude,
                "longitude": place.longitude,
                "twilio_region": nearest_twilio_region(place),
            }
            for (name, ports), place in zip(
                self._edge_ports.items(), self.edges, strict=True
            )
        }
        http_port, media_port = self._edge_ports[edge.name]
        config = self._write_config(edge.name, edges=edges, regions=regions)
        await self._run(
            edge.name,
            "edge",
            *("--config", str(config), "--name", edge.name, "--announce"),
            environment={
                "EDGE_LISTEN_HOST": "127.0.0.1",
                "EDGE_HTTP_PORT": str(http_port),
                "EDGE_MEDIA_PORT": str(media_port),
                "EDGE_ADMIN_PORT": "0",
                "EDGE_ADMIN_TOKEN": self.admin_token,
                "TWILIO_AUTH_TOKEN": self.auth_token,
            },
        )

    async def _wait_warm(self) -> None:
        """Wait until every edge sees every agent with full stock, and the others."""
        headers = {"Authorization": f"Bearer {self.admin_token}"}
        give_up_at = monotonic_s() + _START_TIMEOUT_S
        async with aiohttp.ClientSession(headers=headers) as http:
            urls = [edge["admin_url"] for edge in self.describe()["edges"]]
            for url in urls:
                while not await self._is_warm(http, url):
                    if monotonic_s() > give_up_at:
                        raise FabricError("fabric", "not warm in time")
                    await asyncio.sleep(0.1)

    async def _is_warm(self, http: aiohttp.ClientSession, admin_url: str) -> bool:
        profiles: dict[str, dict[str, Any]] = self._config["profiles"]
        async with http.get(f"{admin_url}/api/fabric") as response:
            fabric = await response.json()
        agents = [agent for region in fabric["regions"] for agent in region["agents"]]
        return all(fabric["other_edges"].values()) and all(
            agent["warm"].get(name, 0) >= profile.get("warm_sessions", 2)
            and ("greeting" not in profile or name in agent["greetings"])
            for agent in agents
            for name, profile in profiles.items()
        )

    async def _run(
        self,
        name: str,
        module: str,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        process = await start_child(
            [sys.executable, "-m", module, *arguments],
            env={**_clean_environment(), **(environment or {})},
            stdout=asyncio.subprocess.PIPE,
            log_path=self._directory / f"{name}.log",
        )
        # Registered before it is ready, so that a failed start is cleaned up too.
        running = _Running(name, process, {})
        self._processes[name] = running
        assert process.stdout is not None  # noqa: S101 - narrows the type
        line = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_TIMEOUT_S):
                line = await process.stdout.readline()
        if not line:
            raise FabricError(name, f"did not start: {self._last_words(name)}")
        running.ports = orjson.loads(line)

    def _last_words(self, name: str) -> str:
        log = self._directory / f"{name}.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return " | ".join(lines[-3:]) or "it said nothing"

    def _write_config(
        self, name: str, *, edges: dict[str, Any], regions: dict[str, Any]
    ) -> Path:
        values = {**self._config, "edges": edges, "regions": regions}
        for table in ("edge", "region_agent"):
            own = self._options.overrides.get(table, {})
            values[table] = {**self._config.get(table, {}), **own}
        path = self._directory / f"{name}.toml"
        path.write_text(tomli_w.dumps(values))
        return path

    def _no_agents(self) -> dict[str, Any]:
        return {region.name: {"agents": []} for region in self.regions}

    def _agent_names(self, region: Place) -> list[str]:
        return [f"{region.name}-{n + 1}" for n in range(self._options.agents)]

    def _wan_routes(self) -> str:
        routes = [
            {
                "name": f"{edge.name}>{name}",
                "listen_port": 0,
                "target_host": "127.0.0.1",
                "target_port": self._processes[name].ports["link_port"],
                "delay_ms": self.delay_ms(edge, region),
            }
            for edge in self.edges
            for region in self.regions
            for name in self._agent_names(region)
        ]
        return orjson.dumps(routes).decode()

    def _relay_port(self, edge: Place, agent: str) -> int:
        port: int = self._processes["wan"].ports["ports"][f"{edge.name}>{agent}"]
        return port

    def _realtime_url(self) -> str:
        url: str = self._processes["realtime"].ports["url"]
        return url

    def _describe_edge(self, edge: Place) -> dict[str, Any]:
        running = self._processes[edge.name]
        return {
            "name": edge.name,
            "pid": running.process.pid,
            "public_url": self.public_url(edge),
            "admin_url": f"http://127.0.0.1:{running.ports['admin_port']}",
            "admin_token": self.admin_token,
        }

    def _describe_agent(self, name: str) -> dict[str, Any]:
        running = self._processes[name]
        return {
            "id": name,
            "pid": running.process.pid,
            "admin_url": f"http://127.0.0.1:{running.ports['admin_port']}",
            "admin_token": self.admin_token,
        }


def _clean_environment() -> dict[str, str]:
    """Return the environment without settings meant for a real deployment."""
    prefixes = ("EDGE_", "REGION_AGENT_", "TWILIO_", "OPENAI_", "REDIS_", "LAB_")
    return {
        name: value
        for name, value in os.environ.items()
        if name in _SETTINGS_OF_ANY_FABRIC or not name.startswith(prefixes)
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
