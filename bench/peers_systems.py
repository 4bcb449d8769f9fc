"""The systems that `peers.py` compares, each started as whoever uses it would start it.

All stand between the same carrier and the same model. Peers live in environments of
their own, `.peers/NAME`, made the first time they are asked for.
"""

import asyncio
import contextlib
import secrets
import shutil
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson
import tomli_w

from backhaul.child import start_child, stop_child
from backhaul.clock import monotonic_s
from backhaul.pki import Role, TlsFiles, create_authority, issue
from backhaul.store import open_store

__all__ = [
    "SYSTEMS",
    "Bed",
    "FailedRunError",
    "MissingPeerError",
    "Running",
    "System",
]

_BASELINES: Final = Path(__file__).parent / "baselines"
_ENVIRONMENTS: Final = Path(__file__).parents[1] / ".peers"
_START_S: Final = 60.0
_GRACE_S: Final = 3.0
_WARM: Final = 30
_REGION: Final = "here"
_EDGE: Final = "bench"
_SERVER: Final = "localhost"
"""Whose name every server certificate carries."""


class MissingPeerError(Exception):
    """A peer cannot be had on this machine."""


class FailedRunError(Exception):
    """A part of one run did not do what it should."""


@dataclass(frozen=True, slots=True)
class Bed:
    """What a system is put between, and where it may write."""

    directory: Path
    model_port: int
    tls: bool
    """On every socket, towards the carrier and the model."""
    calls: int

    @property
    def host(self) -> str:
        """The name of this machine that certificates agree with."""
        return _SERVER if self.tls else "127.0.0.1"

    @property
    def files(self) -> TlsFiles:
        """The server certificate."""
        return TlsFiles.of(self.directory / "pki", Role.EDGE, _SERVER)

    def url(self, scheme: str, port: int, path: str = "") -> str:
        """Return a URL; *scheme* without its s."""
        return f"{scheme}{'s' * self.tls}://{self.host}:{port}{path}"

    def make_certificates(self) -> None:
        """Issue every certificate that a run may need."""
        pki = self.directory / "pki"
        create_authority(pki)
        issue(pki, Role.EDGE, _SERVER)
        issue(pki, Role.EDGE, _EDGE)
        issue(pki, Role.REGION_AGENT, _REGION)

    def environment(self) -> dict[str, str]:
        """Return the environment of a system: trusts our authority, nothing else."""
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.directory),
            "PYTHONPATH": str(_BASELINES.parents[1]),
            "SSL_CERT_FILE": str(self.files.ca),
            "OPENAI_API_KEY": "sk-lab",
        }


@dataclass(frozen=True, slots=True)
class Running:
    """A system that takes calls."""

    roles: dict[str, int]
    """Process ids, by role."""
    url: str
    """Of its voice webhook (http), or of its Media Stream (ws)."""
    auth_token: str = ""
    account_sid: str = ""


@dataclass(frozen=True, slots=True)
class System:
    """One line of the comparison."""

    name: str
    start: Callable[[Bed], AbstractAsyncContextManager[Running]]
    transport: str | None = None
    """Between edge and agent."""
    voice: str = "stamps"
    """What survives it; see `peers_audio`."""
    most_calls: int = 100_000
    """It is not asked for more: it would take minutes to fail."""

    @property
    def label(self) -> str:
        """Name and transport."""
        return f"{self.name}-{self.transport}" if self.transport else self.name


# Warmline


@asynccontextmanager
async def _warmline(bed: Bed, transport: str) -> AsyncIterator[Running]:
    auth_token, admin_token = secrets.token_hex(16), secrets.token_hex(16)
    http_port, media_port = _free_port(), _free_port()
    config: dict[str, Any] = {
        "numbers": {"*": "desk"},
        "profiles": {
            "desk": {
                "instructions": "Answer the telephone.",
                "silence": {"after_s": 0},
                "warm_sessions": min(_WARM, bed.calls),
            }
        },
        "regions": {_REGION: {"agents": []}},
        "edges": {
            _EDGE: {
                "public_url": _signed_base(bed, http_port),
                "media_url": bed.url("ws", media_port),
            }
        },
        "edge": {
            "listen_host": "127.0.0.1",
            "http_port": http_port,
            "media_port": media_port,
            "admin_port": 0,
            "link_transport": transport,
        },
        "region_agent": {
            "region": _REGION,
            "listen_host": "127.0.0.1",
            "listen_port": 0,
            "admin_port": 0,
            "realtime_url": bed.url("ws", bed.model_port, "/v1/realtime"),
            "max_calls": bed.calls + _WARM,
            "target_calls": bed.calls + _WARM,
            "opens_per_s": 200,
            "max_concurrent_opens": 50,
        },
    }
    if bed.tls:
        files = bed.files
        config["edge"]["tls_certificate"] = str(files.certificate)
        config["edge"]["tls_key"] = str(files.key)
    path = bed.directory / "warmline.toml"
    environment = bed.environment() | {
        "TWILIO_AUTH_TOKEN": auth_token,
        "EDGE_ADMIN_TOKEN": admin_token,
    }
    store = await open_store(None, data_dir=bed.directory / "store")
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(store.aclose)
        path.write_text(tomli_w.dumps(config))
        agent, ports = await _service(
            stack, bed, "region_agent", path, environment | {"REDIS_URL": store.url}
        )
        config["regions"][_REGION]["agents"] = [f"127.0.0.1:{ports['link_port']}"]
        path.write_text(tomli_w.dumps(config))
        edge, ports = await _service(stack, bed, "edge", path, environment)
        await _wait_warm(ports["admin_port"], admin_token, min(_WARM, bed.calls))
        yield Running(
            {"edge": edge, "agent": agent},
            bed.url("http", http_port, "/twilio/voice"),
            auth_token,
            "AC" + secrets.token_hex(16),
        )


def _signed_base(bed: Bed, port: int) -> str:
    """Return how Twilio signs the webhook's URL: without the port, if it is HTTPS."""
    return f"https://{bed.host}" if bed.tls else bed.url("http", port)


async def _service(
    stack: contextlib.AsyncExitStack,
    bed: Bed,
    module: str,
    config: Path,
    environment: dict[str, str],
) -> tuple[int, dict[str, Any]]:
    """Start a service of ours; return its process id and what it announced."""
    log = bed.directory / f"{module}.log"
    process = await start_child(
        [sys.executable, "-m", module, "--config", str(config), "--announce"],
        env=environment,
        stdout=PIPE,
        log_path=log,
    )
    stack.push_async_callback(stop_child, process, grace_s=_GRACE_S)
    assert process.stdout is not None  # noqa: S101 - narrows the type
    async with asyncio.timeout(_START_S):
        line = await process.stdout.readline()
    if not line:
        raise FailedRunError(f"{module} did not start: {_last_words(log)}")
    return process.pid, orjson.loads(line)


async def _wait_warm(admin_port: int, admin_token: str, sessions: int) -> None:
    headers = {"Authorization": f"Bearer {admin_token}"}
    url = f"http://127.0.0.1:{admin_port}/api/fabric"
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        asyncio.timeout(_START_S),
    ):
        while True:
            async with http.get(url) as response:
                fabric = await response.json()
            agents = [one for region in fabric["regions"] for one in region["agents"]]
            if agents and all(one["warm"].get("desk", 0) >= sessions for one in agents):
                return
            await asyncio.sleep(0.1)


# Peers


@asynccontextmanager
async def _peer(bed: Bed, name: str) -> AsyncIterator[Running]:
    """Start `baselines/NAME_bridge.py` in its environment."""
    python = await _environment(name)
    port = _free_port()
    command = [
        str(python),
        str(_BASELINES / f"{name}_bridge.py"),
        f"--port={port}",
        f"--realtime-url={bed.url('ws', bed.model_port, '/v1/realtime')}",
    ]
    if bed.tls:
        files = bed.files
        command += [f"--certificate={files.certificate}", f"--key={files.key}"]
    log = bed.directory / f"{name}.log"
    process = await start_child(command, env=bed.environment(), log_path=log)
    try:
        await _wait_open(port, process, log)
        yield Running({"bridge": process.pid}, bed.url("ws", port, "/media-stream"))
    finally:
        await stop_child(process, grace_s=_GRACE_S)


async def _environment(name: str) -> Path:
    """Return the interpreter of a peer's environment, which is made when missing.

    Raises:
        MissingPeerError: If it cannot be made.
    """
    wanted = (_BASELINES / f"{name}.txt").read_text()
    home = _ENVIRONMENTS / name
    python, stamp = home / "bin" / "python", home / "installed.txt"
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv is None:
        raise MissingPeerError("uv is not there to install it with")
    print(f"bench: installing {name} into {home}", file=sys.stderr)
    requirements = str(_BASELINES / f"{name}.txt")
    make = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(home)]
    install = [uv, "pip", "install", "--quiet", "--python", str(python)]
    for command in (make, [*install, "--requirement", requirements]):
        process = await asyncio.create_subprocess_exec(*command, stderr=PIPE)
        _, said = await process.communicate()
        if process.returncode:
            raise MissingPeerError(said.decode().strip().rpartition("\n")[2])
    stamp.write_text(wanted)
    return python


async def _wait_open(port: int, process: asyncio.subprocess.Process, log: Path) -> None:
    give_up_at = monotonic_s() + _START_S
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        if process.returncode is not None or monotonic_s() > give_up_at:
            raise FailedRunError(f"a peer did not start: {_last_words(log)}")
        await asyncio.sleep(0.1)


# One hop that does nothing, and none


@asynccontextmanager
async def _nginx(bed: Bed) -> AsyncIterator[Running]:
    found = shutil.which(
        "nginx", path="/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin"
    )
    if found is None:
        raise MissingPeerError("nginx is not installed")
    port, home = _free_port(), bed.directory / "nginx"
    home.mkdir()
    files = bed.files
    values = {
        "@HOME@": str(home),
        "@LISTEN@": f"127.0.0.1:{port}" + " ssl" * bed.tls,
        "@TLS@": "" if bed.tls else "#",
        "@CERTIFICATE@": str(files.certificate),
        "@KEY@": str(files.key),
        "@MODEL@": bed.url("http", bed.model_port),
    }
    text = (_BASELINES / "nginx.conf").read_text()
    for name, value in values.items():
        text = text.replace(name, value)
    config = home / "nginx.conf"
    config.write_text(text)
    log = home / "error.log"
    command = [found, "-p", str(home), "-c", str(config), "-e", str(log)]
    process = await start_child(command, stdout=DEVNULL)
    try:
        await _wait_open(port, process, log)
        yield Running({"bridge": process.pid}, bed.url("ws", port, "/media-stream"))
    finally:
        await stop_child(process, grace_s=_GRACE_S)


@asynccontextmanager
async def _direct(bed: Bed) -> AsyncIterator[Running]:
    yield Running({}, bed.url("ws", bed.model_port, "/media-stream"))


def _last_words(log: Path) -> str:
    return log.read_text()[-1000:] if log.exists() else "it said nothing"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


_ALL: Final = (
    System("direct", _direct),
    System("nginx", _nginx),
    System("plain", partial(_peer, name="plain")),
    System("agents-sdk", partial(_peer, name="agents_sdk"), most_calls=50),
    System("pipecat", partial(_peer, name="pipecat"), voice="pulses", most_calls=10),
    *(
        System("warmline", partial(_warmline, transport=one), transport=one)
        for one in ("websocket", "http2", "quic")
    ),
)
SYSTEMS: Final = {system.label: system for system in _ALL}
"""By label, in the order in which they are measured."""
