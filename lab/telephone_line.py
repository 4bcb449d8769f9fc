"""A telephone line in this process: one profile, and everything it takes to call it.

For tests and benches of conversations: real sockets and TLS between the services, the
stand-ins at both ends, no process to start and no WAN between them.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from backhaul.pki import Role, create_authority, issue
from backhaul.settings import read_deployment
from edge.service import Edge
from edge.settings import load_settings as load_edge_settings
from lab.conversation_script import parse_script
from lab.free_port import free_port
from lab.realtime import RealtimeLatency, RealtimeServer, RealtimeServerSettings
from lab.scripted_call import ScriptResult, run_script
from lab.twilio import TwilioStandIn
from region_agent.service import RegionAgent
from region_agent.settings import load_settings as load_agent_settings

__all__ = ["BRISK", "TelephoneLine", "open_line"]

BRISK: Final = replace(
    RealtimeLatency.none(), first_audio_s=(0.05, 0.1), audio_speed=8.0
)
"""A model that begins soon and speaks eight times as fast as it is heard."""

_AUTH_TOKEN: Final = "0123456789abcdef0123456789abcdef"  # noqa: S105 - a stand-in's
_ACCOUNT_SID: Final = "AC" + "0" * 32
_READY_TIMEOUT_S: Final = 60.0
_POLL_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class TelephoneLine:
    """One number and whoever is behind it."""

    model: RealtimeServer
    agent: RegionAgent
    edge: Edge
    carrier: TwilioStandIn
    public_url: str

    @property
    def webhook_url(self) -> str:
        """What a caller's carrier asks."""
        return f"{self.public_url}/twilio/voice"

    async def converse(self, script: str) -> ScriptResult:
        """Hold the conversation that *script* (TOML) describes.

        Raises:
            ScriptError: It cannot be used.
        """
        return await run_script(
            parse_script(script),
            stand_in=self.carrier,
            webhook_url=self.webhook_url,
            status_callback=f"{self.public_url}/twilio/status",
            model_control=self.model.control_url,
        )

    async def wait_ready(self) -> None:
        """Wait until there is stock, and everything fixed has been rendered.

        Raises:
            TimeoutError: If that takes too long.
        """
        async with asyncio.timeout(_READY_TIMEOUT_S):
            while not self._ready():  # noqa: ASYNC110 - nothing tells of readiness
                await asyncio.sleep(_POLL_S)

    def _ready(self) -> bool:
        phrases = self.agent.services.phrases
        known = self.edge.links.agents.values()
        return (
            not phrases.waiting
            and all(self.agent.sessions.warm().values())
            and all(
                one.ready and any(each.warm for each in one.stock.profiles.values())
                for one in known
            )
            and all(set(one.greetings) == set(phrases.ready) for one in known)
        )


@contextlib.asynccontextmanager
async def open_line(
    directory: Path,
    profile: str,
    *,
    environ: Mapping[str, str] | None = None,
    latency: RealtimeLatency = BRISK,
    session_lifetime_s: float = 3600.0,
) -> AsyncGenerator[TelephoneLine]:
    """Start a line; leaving the context closes it.

    Args:
        directory: For certificates and the configuration file.
        profile: What ``[profiles.desk]`` says beside its instructions (TOML).
        environ: What the agent finds in its environment.
        latency: Of the model.
        session_lifetime_s: After which the model ends a session (s).
    """
    ports = {name: free_port() for name in ("http_port", "media_port", "link_port")}
    path = directory / "warmline.toml"
    await asyncio.to_thread(_prepare, path, _config(profile, **ports))
    deployment = read_deployment(path)
    async with contextlib.AsyncExitStack() as stack:
        settings = RealtimeServerSettings(
            latency=latency, session_lifetime_s=session_lifetime_s
        )
        model = await stack.enter_async_context(RealtimeServer(settings))
        known = {
            "OPENAI_API_KEY": "sk-lab",
            "REDIS_URL": "redis://127.0.0.1:1/0",  # calls do not need it
            "REGION_AGENT_REALTIME_URL": model.url,
            **(environ or {}),
        }
        agent_settings = load_agent_settings(deployment, environ=known)
        agent = RegionAgent(agent_settings, deployment, environ=known)
        edge = Edge(
            load_edge_settings(
                deployment, None, environ={"TWILIO_AUTH_TOKEN": _AUTH_TOKEN}
            )
        )
        carrier = TwilioStandIn(_ACCOUNT_SID, _AUTH_TOKEN)
        stack.push_async_callback(carrier.aclose)
        for service in (agent, edge):
            await _start(stack, service)
        url = f"http://127.0.0.1:{ports['http_port']}"
        line = TelephoneLine(model, agent, edge, carrier, url)
        await line.wait_ready()
        yield line


class _Service(Protocol):
    async def start(self) -> None: ...
    async def stop(self) -> None: ...


async def _start(stack: contextlib.AsyncExitStack, service: _Service) -> None:
    stack.push_async_callback(service.stop)
    await service.start()


def _prepare(path: Path, config: str) -> None:
    create_authority(path.parent / "pki")
    issue(path.parent / "pki", Role.REGION_AGENT, "home")
    issue(path.parent / "pki", Role.EDGE, "edge-1")
    path.write_text(config)


def _config(profile: str, *, http_port: int, media_port: int, link_port: int) -> str:
    return f"""
[numbers]
"*" = "desk"
[regions.home]
agents = ["127.0.0.1:{link_port}"]
[edges.edge-1]
public_url = "http://127.0.0.1:{http_port}"
media_url = "ws://127.0.0.1:{media_port}"
[edge]
listen_host = "127.0.0.1"
http_port = {http_port}
media_port = {media_port}
heartbeat_timeout_s = 20
agent_patience_s = 20
[region_agent]
region = "home"
listen_host = "127.0.0.1"
listen_port = {link_port}
heartbeat_timeout_s = 20
[profiles.desk]
instructions = "Answer the telephone."
{profile}
"""
