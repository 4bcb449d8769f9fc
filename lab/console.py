"""``warmline console``, and the console that comes with a local fabric."""

import contextlib
import os
import sys
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Any

import uvloop

from backhaul.settings import Secret
from console.server import Console
from console.settings import ConsoleSettings
from console.sources import Source
from lab.breakage import FabricBreaker
from lab.fabric import Fabric
from lab.fabric_file import recall_fabric
from lab.softphone import LocalPhone
from lab.terminal import told_to_stop

__all__ = ["console_of", "run_console", "sources_of"]


def run_console(
    *,
    edges: Sequence[str],
    agents: Sequence[str],
    host: str,
    port: int,
    trace_url: str,
) -> int:
    """Serve the page until interrupted; return the exit code.

    Args:
        edges: Admin URLs; none: those of the running local fabric.
        agents: Admin URLs.
        host: Address to listen on.
        port: 0 picks one.
        trace_url: See `ConsoleSettings`.
    """
    settings = _settings(host=host, port=port, trace_url=trace_url)
    problems = [*settings.problems(), *_problems(edges, agents)]
    if problems:
        sys.stderr.writelines(f"{line}\n" for line in problems)
        return 2
    try:
        uvloop.run(_serve(settings, edges, agents))
    except OSError as exc:
        sys.stderr.write(f"cannot start: {exc}\n")
        return 1
    return 0


@contextlib.asynccontextmanager
async def console_of(fabric: Fabric) -> AsyncGenerator[Console]:
    """Serve the page of a local fabric, with everything that it can do."""
    phone = LocalPhone(
        fabric.describe, callers={edge.name: edge.caller for edge in fabric.edges}
    )
    breaker = FabricBreaker(fabric)
    console = Console(
        _settings(),
        lambda: sources_of(fabric.describe()),
        phone=phone,
        breaker=breaker,
    )
    try:
        await console.start()
        yield console
    finally:
        await console.aclose()
        await breaker.aclose()
        await phone.aclose()


def sources_of(described: Mapping[str, Any]) -> Iterator[Source]:
    """Yield the processes of a fabric, as it describes itself."""
    agents = [one for region in described["regions"] for one in region["agents"]]
    for name, one in [
        *((edge["name"], edge) for edge in described["edges"]),
        *((agent["id"], agent) for agent in agents),
    ]:
        yield Source(name, one["admin_url"], one["admin_token"])


async def _serve(
    settings: ConsoleSettings, edges: Sequence[str], agents: Sequence[str]
) -> None:
    given = _given_sources(edges, agents)
    phone = None if given else LocalPhone(recall_fabric)

    def find() -> Sequence[Source]:
        # Another fabric may run by now.
        described = {} if given else recall_fabric()
        return given or ([*sources_of(described)] if described else [])

    console = Console(settings, find, phone=phone)
    try:
        await console.start()
        stopped = told_to_stop()
        sys.stdout.write(f"{console.url}\n")
        sys.stdout.flush()
        await stopped.wait()
    finally:
        await console.aclose()
        if phone is not None:
            await phone.aclose()


def _settings(
    *, host: str = "127.0.0.1", port: int = 0, trace_url: str = ""
) -> ConsoleSettings:
    token = os.environ.get("CONSOLE_TOKEN", "")
    if not token:
        return ConsoleSettings(host=host, port=port, trace_url=trace_url)
    return ConsoleSettings(
        host=host, port=port, trace_url=trace_url, token=Secret(token)
    )


def _problems(edges: Sequence[str], agents: Sequence[str]) -> Iterator[str]:
    for option, urls in (("edge", edges), ("agent", agents)):
        for url in urls:
            if not url.startswith(("http://", "https://")):
                yield f"--{option}: {url!r} is not an http(s) URL"
    for name, urls in (("EDGE", edges), ("REGION_AGENT", agents)):
        if urls and not os.environ.get(f"{name}_ADMIN_TOKEN"):
            yield f"no admin token: set {name}_ADMIN_TOKEN"
    if not edges and not agents and not recall_fabric():
        yield "name what to show (--edge, --agent), or start `warmline up` first"


def _given_sources(edges: Sequence[str], agents: Sequence[str]) -> tuple[Source, ...]:
    tokens = {
        name: os.environ.get(f"{name}_ADMIN_TOKEN", "")
        for name in ("EDGE", "REGION_AGENT")
    }
    return (
        *(Source(url, url.rstrip("/"), tokens["EDGE"]) for url in edges),
        *(Source(url, url.rstrip("/"), tokens["REGION_AGENT"]) for url in agents),
    )
