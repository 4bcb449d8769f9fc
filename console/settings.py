"""What the console is told when it starts."""

import secrets
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

from backhaul.settings import Secret

__all__ = ["ConsoleSettings"]

_SHORTEST_TOKEN: Final = 16


def _new_token() -> Secret:
    return Secret(secrets.token_urlsafe(18))


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSettings:
    """How the console is reached."""

    host: str = "127.0.0.1"
    """Address to listen on. The console speaks plain HTTP: put a proxy with TLS in
    front of any other than a loopback address."""
    port: int = 0
    """0 picks one."""
    token: Secret = field(default_factory=_new_token)
    """Opens the page; whoever has it sees everything, and may break a local fabric."""
    trace_url: str = ""
    """Where a collector shows a trace, with ``{trace_id}`` in it; empty: nowhere."""

    def problems(self) -> tuple[str, ...]:
        """Return one line per value that cannot be used."""
        found: list[str] = []
        if len(self.token.reveal()) < _SHORTEST_TOKEN:
            found.append(f"CONSOLE_TOKEN: at least {_SHORTEST_TOKEN} characters")
        if self.trace_url and "{trace_id}" not in self.trace_url:
            found.append("--trace-url: must contain {trace_id}")
        elif self.trace_url and not self.trace_url.startswith(("http://", "https://")):
            found.append("--trace-url: must be an http(s) URL")
        return tuple(found)

    @property
    def is_local(self) -> bool:
        """Whether nobody outside this machine can reach it."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"
