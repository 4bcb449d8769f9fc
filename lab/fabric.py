"""The local fabric: every service as a real process that can be killed by name."""

import asyncio
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import aiohttp
import orjson
import tomli_w

from backhaul.clock import monotonic_s
from backhaul.owned_directory import make_owned_directory
from backhaul.pki import Role, create_authority, issue
from backhaul.store import Store, open_store
from lab.fabric_options import FabricError, FabricOptions
from lab.fabric_processes import FabricProcesses
from lab.free_port import free_port
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
        self._stores: dict[str, Store] = {}
        self._directory = make_owned_directory("warmline-fabric-")
        self._processes = FabricProcesses(self._directory)
        self._config: dict[str, Any] = options.deployment()
        self.admin_token = secrets.token_urlsafe(16)
        self.auth_token = secrets.token_hex(16)
        self._api_key = "sk-" + secrets.token_hex(16)
        self.account_sid = "AC" + secrets.token_hex(16)
        self.regions = REGION_PLACES[: options.regions]
        self.edges = EDGE_PLACES[: options.edges]
        self._edge_ports = {
            edge.name: (free_port(), free_port()) for edge in self.edges
        }
        # Theirs alone while they are dead, too.
        self._agent_ports = {
            name: free_port()
            for region in self.regions
            for name in self.agent_names(region)
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
        return self._processes.pid(name)

    def names(self) -> tuple[str, ...]:
        """Return the names of all processes that were started."""
        return self._processes.names()

    async def kill(self, name: str) -> None:
        """SIGKILL a part and wait until it is gone."""
        await self._processes.kill(name)

    async def stop(self, name: str, *, grace_s: float) -> int:
        """SIGTERM a part, SIGKILL it after *grace_s*, and return its exit code."""
        return await self._processes.stop(name, grace_s=grace_s)

    async def start_again(self, name: str) -> None:
        """Start an agent or edge that is gone once more, where it was.

        Raises:
            FabricError: It did not come up.
        """
        await self._processes.run_again(name)

    def log_path(self, name: str) -> Path:
        """Return where a part writes its log, one JSON object a line."""
        return self._processes.log_path(name)

    def store_pid(self, region: Place) -> int:
        """Return the process id of a region's store."""
        return self._stores[region.name].server_pid

    def wan_control_port(self) -> int:
        """Return the loopback port that takes `WanOrder`s."""
        port: int = self._processes.ports("wan")["control_port"]
        return port

    def routes(self, region: Place) -> tuple[str, ...]:
        """Return the names of the WAN's routes to a region."""
        return tuple(
            f"{edge.name}>{name}"
            for edge in self.edges
            for name in self.agent_names(region)
        )

    def public_url(self, edge: Place) -> str:
        """Return where an edge takes webhooks."""
        return f"http://127.0.0.1:{self._processes.ports(edge.name)['http_port']}"

    def control_url(self, region: Place | None = None) -> str:
        """Return where the Realtime stand-in is inspected and made to misbehave.

        Args:
            region: Whose, where each region has its own.
        """
        url: str = self._processes.ports(self._model_of(region))["control_url"]
        return url

    def control_urls(self) -> tuple[str, ...]:
        """Return the control URL of every Realtime stand-in."""
        return tuple(dict.fromkeys(map(self.control_url, self.regions)))

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
                        self._describe_agent(name) for name in self.agent_names(region)
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
            "profiles": self._config["numbers"],
        }

    async def aclose(self) -> None:
        """End every process and remove what they wrote."""
        # Edges first, so that their calls end before the agents go.
        await self._processes.aclose(grace_s=_STOP_GRACE_S)
        for store in self._stores.values():
            await store.aclose()
        shutil.rmtree(self._directory, ignore_errors=True)

    async def _start(self) -> None:
        self._on_progress("certificates")
        self._issue_certificates()
        self._on_progress("model stand-in")
        latency = "realistic" if self._options.realistic else "none"
        models = dict.fromkeys(map(self._model_of, self.regions))
        for seed, name in enumerate(models, start=1):
            await self._processes.run(
                name,
                "lab.realtime",
                *("--latency", latency, "--seed", str(seed)),
                *self._options.model_arguments,
                *(("--voice",) if self._options.voice else ()),
                environment={"LAB_API_KEYS": self._api_key},
            )
        for region in self.regions:
            self._on_progress(f"region {region.name}")
            self._stores[region.name] = await open_store(
                None, data_dir=self._directory / region.name
            )
        await self._start_agents()
        self._on_progress("WAN")
        wan = ("lab.wan", "--control-port", "0", "--routes", self._wan_routes())
        await self._processes.run("wan", *wan)
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
        config = self._write_config("agents", edges={}, regions=self._no_agents())
        await asyncio.gather(
            *(
                self._start_agent(config, region, name)
                for region in self.regions
                for name in self.agent_names(region)
            )
        )

    async def _start_agent(self, config: Path, region: Place, name: str) -> None:
        await self._processes.run(
            name,
            "region_agent",
            *("--config", str(config), "--announce"),
            environment={
                "REGION_AGENT_REGION": region.name,
                "REGION_AGENT_AGENT_ID": name,
                "REGION_AGENT_LISTEN_HOST": "127.0.0.1",
                "REGION_AGENT_LISTEN_PORT": str(self._agent_ports[name]),
                "REGION_AGENT_ADMIN_PORT": "0",
                "REGION_AGENT_ADMIN_TOKEN": self.admin_token,
                "REGION_AGENT_REALTIME_URL": self._realtime_url(region),
                "OPENAI_API_KEY": self._api_key,
                "REDIS_URL": self._stores[region.name].url,
            },
        )

    async def _start_edge(self, edge: Place) -> None:
        regions = {
            region.name: {
                "agents": [
                    f"127.0.0.1:{self._relay_port(edge, name)}"
                    for name in self.agent_names(region)
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
        await self._processes.run(
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
            said = await response.json()
        views = said.get("workers", [said])  # of one process, or of several
        agents = [
            agent
            for view in views
            for region in view.get("regions", ())
            for agent in region["agents"]
        ]
        others = [alive for view in views for alive in view["other_edges"].values()]
        return all(others) and all(
            agent["warm"].get(name, 0) >= profile.get("warm_sessions", 2)
            and ("greeting" not in profile or name in agent["greetings"])
            for agent in agents
            for name, profile in profiles.items()
        )

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

    def agent_names(self, region: Place) -> list[str]:
        """Return the names of a region's agents."""
        return [f"{region.name}-{n + 1}" for n in range(self._options.agents)]

    def _wan_routes(self) -> str:
        routes = [
            {
                "name": f"{edge.name}>{name}",
                "target_host": "127.0.0.1",
                "target_port": self._agent_ports[name],
                "delay_ms": self.delay_ms(edge, region),
            }
            for edge in self.edges
            for region in self.regions
            for name in self.agent_names(region)
        ]
        return orjson.dumps(routes).decode()

    def _relay_port(self, edge: Place, agent: str) -> int:
        port: int = self._processes.ports("wan")["ports"][f"{edge.name}>{agent}"]
        return port

    def _model_of(self, region: Place | None) -> str:
        """Return the name of the process that is the model of a region."""
        own = self._options.own_models
        return f"realtime-{(region or self.regions[0]).name}" if own else "realtime"

    def _realtime_url(self, region: Place | None = None) -> str:
        url: str = self._processes.ports(self._model_of(region))["url"]
        return url

    def _describe_edge(self, edge: Place) -> dict[str, Any]:
        port = self._processes.ports(edge.name)["admin_port"]
        return {
            "name": edge.name,
            "pid": self.pid(edge.name),
            "public_url": self.public_url(edge),
            "admin_url": f"http://127.0.0.1:{port}",
            "admin_token": self.admin_token,
        }

    def _describe_agent(self, name: str) -> dict[str, Any]:
        port = self._processes.ports(name)["admin_port"]
        return {
            "id": name,
            "pid": self.pid(name),
            "admin_url": f"http://127.0.0.1:{port}",
            "admin_token": self.admin_token,
        }
