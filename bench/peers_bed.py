"""What `peers.py` puts a system between, and what it must know of one that runs."""

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backhaul.pki import Role, TlsFiles, create_authority, issue

__all__ = [
    "EDGE",
    "Bed",
    "FailedRunError",
    "MissingPeerError",
    "Running",
    "free_port",
    "last_words",
]

EDGE: Final = "bench"
"""The name of Warmline's edge."""
_ROOT: Final = Path(__file__).parents[1]
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
    regions: int = 1
    """Of Warmline; no other system has any."""
    agents: int = 1
    """In each region."""

    @property
    def region_names(self) -> list[str]:
        """The names of Warmline's regions."""
        return [f"region-{n + 1}" for n in range(self.regions)]

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
        issue(pki, Role.EDGE, EDGE)
        for region in self.region_names:
            issue(pki, Role.REGION_AGENT, region)

    def environment(self) -> dict[str, str]:
        """Return the environment of a system: trusts our authority, nothing else."""
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.directory),
            "PYTHONPATH": str(_ROOT),
            "SSL_CERT_FILE": str(self.files.ca),
            "OPENAI_API_KEY": "sk-lab",
        }


@dataclass(frozen=True, slots=True)
class Running:
    """A system that takes calls."""

    roles: dict[str, tuple[int, ...]]
    """Process ids, by role."""
    url: str
    """Of its voice webhook (http), or of its Media Stream (ws)."""
    auth_token: str = ""
    account_sid: str = ""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def last_words(log: Path) -> str:
    """Return the end of what a process said, if it said anything."""
    return log.read_text()[-1000:] if log.exists() else "it said nothing"
