"""``warmline doctor``: what would keep a deployment from answering calls."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from backhaul.clock import unix_s
from backhaul.errors import SettingsError
from backhaul.pki import Role, TlsFiles, certificate_problems
from backhaul.settings import DeploymentFile, read_deployment
from edge.settings import load_settings as load_edge
from region_agent.settings import RegionAgentSettings
from region_agent.settings import load_settings as load_agent

__all__ = ["Finding", "examine", "run_doctor"]

_TIMEOUT_S = 5.0
_MAX_CLOCK_OFFSET_S = 30.0
_EXAMPLE_HOST = "voice.example.com"
_EXAMPLE_NUMBERS = frozenset({"+14155550100"})
_VARIABLES = {
    "twilio_auth_tokens: missing": "set TWILIO_AUTH_TOKEN",
    "openai_api_key: missing": "set OPENAI_API_KEY",
}
"""What to do about a secret, which never stands in the file."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    good: bool
    text: str


def run_doctor(config: Path, *, running: bool) -> int:
    """Print one line per check; return 0 when all is well, 1 otherwise.

    Args:
        config: The deployment's file.
        running: Whether agents should accept connections already.
    """
    try:
        deployment = read_deployment(config)
    except SettingsError as exc:
        sys.stderr.writelines(f"{line}\n" for line in exc.problems)
        return 2
    findings = asyncio.run(examine(deployment, running=running))
    for finding in findings:
        sys.stdout.write(f"{'ok  ' if finding.good else 'FAIL'}  {finding.text}\n")
    return 0 if all(finding.good for finding in findings) else 1


async def examine(deployment: DeploymentFile, *, running: bool) -> list[Finding]:
    """Return the findings about *deployment* as seen from this host."""
    findings = [*_edges(deployment)]
    agent, found = _agent_settings(deployment)
    findings += [*found, *_certificates(deployment)]
    if running:
        findings += await _agents(deployment)
    if agent is not None:
        findings += await _realtime(agent.realtime_url)
    return findings


def _edges(deployment: DeploymentFile) -> Iterator[Finding]:
    if not deployment.edges:
        yield Finding(False, "edges: empty; Twilio could reach nobody")
    for number in _EXAMPLE_NUMBERS & set(deployment.numbers):
        yield Finding(False, f"numbers: still the example's {number}")
    for name in deployment.edges:
        try:
            load_edge(deployment, name)
        except SettingsError as exc:
            yield from map(_problem, exc.problems)
        else:
            yield Finding(True, f"settings of edge {name}")
        if _public_host(deployment, name) == _EXAMPLE_HOST:
            text = f"edges.{name}.public_url: still the example's {_EXAMPLE_HOST}"
            yield Finding(False, text)


def _public_host(deployment: DeploymentFile, name: str) -> str | None:
    """Return the host that Twilio is to call, whatever else is wrong."""
    own = {**deployment.edge, **deployment.edges[name]}
    url = os.environ.get("EDGE_PUBLIC_URL") or str(own.get("public_url", ""))
    with contextlib.suppress(ValueError):
        return urlsplit(url).hostname
    return None


def _agent_settings(
    deployment: DeploymentFile,
) -> tuple[RegionAgentSettings | None, list[Finding]]:
    try:
        settings = load_agent(deployment)
    except SettingsError as exc:
        return None, [_problem(line) for line in exc.problems]
    return settings, [Finding(True, f"settings of region agent {settings.region}")]


def _problem(line: str) -> Finding:
    hints = (hint for end, hint in _VARIABLES.items() if line.endswith(end))
    hint = next(hints, None)
    return Finding(False, f"{line} ({hint})" if hint else line)


def _certificates(deployment: DeploymentFile) -> Iterator[Finding]:
    directory = deployment.directory / str(deployment.edge.get("pki_dir", "pki"))
    owners = [(Role.EDGE, name) for name in deployment.edges]
    owners += [(Role.REGION_AGENT, name) for name in deployment.regions]
    for role, name in owners:
        files = TlsFiles.of(directory, role, name)
        problems = certificate_problems(files, now_unix_s=unix_s())
        whose = f"certificate of {role.value} {name}"
        yield from (Finding(False, f"{whose}: {line}") for line in problems)
        if not problems:
            yield Finding(True, whose)


async def _agents(deployment: DeploymentFile) -> list[Finding]:
    addresses = [
        (name, address)
        for name, region in deployment.regions.items()
        for address in region.agents
    ]
    return list(await asyncio.gather(*(_reach(*each) for each in addresses)))


async def _reach(region: str, address: str) -> Finding:
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except (OSError, TimeoutError) as exc:
        reason = str(exc) or "no answer"
        return Finding(False, f"agent {address} of {region}: {reason}")
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return Finding(True, f"agent {address} of {region} accepts connections")


async def _realtime(url: str) -> list[Finding]:
    parts = urlsplit(url)
    scheme = "https" if parts.scheme == "wss" else "http"
    http_url = urlunsplit((scheme, parts.netloc, "/", "", ""))
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as http,
            # Some WebSocket servers understand no other method, not even HEAD.
            http.get(http_url, allow_redirects=False) as response,
        ):
            served_at = response.headers.get("Date", "")
    except (aiohttp.ClientError, TimeoutError, OSError) as exc:
        return [Finding(False, f"model endpoint {parts.netloc}: {type(exc).__name__}")]
    return [
        Finding(True, f"model endpoint {parts.netloc} answers"),
        _clock(served_at),
    ]


def _clock(served_at: str) -> Finding:
    try:
        offset_s = unix_s() - parsedate_to_datetime(served_at).timestamp()
    except (TypeError, ValueError):
        return Finding(True, "clock: the endpoint tells no time to compare with")
    good = abs(offset_s) <= _MAX_CLOCK_OFFSET_S
    return Finding(good, f"clock is {offset_s:+.0f} s off the model endpoint's")
