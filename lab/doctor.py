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

__all__ = ["Finding", "examine", "run_doctor"]

_TIMEOUT_S = 5.0
_MAX_CLOCK_OFFSET_S = 30.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    good: bool
    text: str


def run_doctor(config: Path) -> int:
    """Print one line per check; return 0 when all is well, 1 otherwise."""
    try:
        deployment = read_deployment(config)
    except SettingsError as exc:
        sys.stderr.writelines(f"{line}\n" for line in exc.problems)
        return 2
    findings = asyncio.run(examine(deployment))
    for finding in findings:
        sys.stdout.write(f"{'ok  ' if finding.good else 'FAIL'}  {finding.text}\n")
    return 0 if all(finding.good for finding in findings) else 1


async def examine(deployment: DeploymentFile) -> list[Finding]:
    """Return the findings about *deployment* as seen from this host."""
    findings = [*_keys(), *_certificates(deployment)]
    findings += await _agents(deployment)
    findings += await _realtime(deployment)
    return findings


def _keys() -> Iterator[Finding]:
    for name, owner in (("TWILIO_AUTH_TOKEN", "edges"), ("OPENAI_API_KEY", "agents")):
        present = bool(os.environ.get(name))
        yield Finding(present, f"{name} {'is set' if present else 'is missing'}"
                               f" ({owner} need it)")  # fmt: skip


def _certificates(deployment: DeploymentFile) -> Iterator[Finding]:
    directory = deployment.directory / str(deployment.edge.get("pki_dir", "pki"))
    owners = [(Role.EDGE, name) for name in deployment.edges]
    owners += [(Role.REGION_AGENT, name) for name in deployment.regions]
    for role, name in owners:
        files = TlsFiles.of(directory, role, name)
        problems = certificate_problems(files, now_unix_s=unix_s())
        yield from (Finding(False, f"certificate: {line}") for line in problems)
        if not problems:
            yield Finding(True, f"certificate of {role.value} {name}")


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


async def _realtime(deployment: DeploymentFile) -> list[Finding]:
    default = "wss://api.openai.com/v1/realtime"
    url = str(deployment.region_agent.get("realtime_url", default))
    parts = urlsplit(url)
    scheme = "https" if parts.scheme == "wss" else "http"
    http_url = urlunsplit((scheme, parts.netloc, "/", "", ""))
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as http,
            http.head(http_url, allow_redirects=False) as response,
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
