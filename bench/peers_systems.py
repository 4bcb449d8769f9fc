"""The systems that `peers.py` compares, each started as whoever uses it would start it.

All stand between the same carrier and the same model. Peers live in environments of
their own, `.peers/NAME`, made the first time they are asked for.
"""

import asyncio
import contextlib
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from peers_bed import (
    Bed,
    FailedRunError,
    MissingPeerError,
    Running,
    free_port,
    last_words,
)
from peers_warmline import run_warmline

from backhaul.child import start_child, stop_child
from backhaul.clock import monotonic_s

__all__ = ["SYSTEMS", "System"]

_BASELINES: Final = Path(__file__).parent / "baselines"
_ENVIRONMENTS: Final = Path(__file__).parents[1] / ".peers"
_START_S: Final = 60.0
_GRACE_S: Final = 3.0


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


# Peers


@asynccontextmanager
async def _peer(bed: Bed, name: str) -> AsyncIterator[Running]:
    """Start `baselines/NAME_bridge.py` in its environment."""
    python = await _environment(name)
    port = free_port()
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
        yield Running({"bridge": (process.pid,)}, bed.url("ws", port, "/media-stream"))
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
            raise FailedRunError(f"a peer did not start: {last_words(log)}")
        await asyncio.sleep(0.1)


# One hop that does nothing, and none


@asynccontextmanager
async def _nginx(bed: Bed) -> AsyncIterator[Running]:
    found = shutil.which(
        "nginx", path="/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin"
    )
    if found is None:
        raise MissingPeerError("nginx is not installed")
    port, home = free_port(), bed.directory / "nginx"
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
        yield Running({"bridge": (process.pid,)}, bed.url("ws", port, "/media-stream"))
    finally:
        await stop_child(process, grace_s=_GRACE_S)


@asynccontextmanager
async def _direct(bed: Bed) -> AsyncIterator[Running]:
    yield Running({}, bed.url("ws", bed.model_port, "/media-stream"))


_ALL: Final = (
    System("direct", _direct),
    System("nginx", _nginx),
    System("plain", partial(_peer, name="plain")),
    System("agents-sdk", partial(_peer, name="agents_sdk"), most_calls=50),
    System("pipecat", partial(_peer, name="pipecat"), voice="pulses", most_calls=10),
    *(
        System("warmline", partial(run_warmline, transport=one), transport=one)
        for one in ("websocket", "http2", "quic")
    ),
)
SYSTEMS: Final = {system.label: system for system in _ALL}
"""By label, in the order in which they are measured."""
