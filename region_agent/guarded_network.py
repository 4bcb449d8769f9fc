"""Connects to endpoints, and only to addresses that were checked before."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Protocol
from urllib.parse import urlsplit

from backhaul.clock import monotonic_s
from backhaul.errors import EndpointRefusedError, EndpointUnreachableError
from region_agent.core.public_address import Address, is_public
from region_agent.network_stream import NetworkStream

__all__ = ["Endpoint", "GuardedNetwork", "Resolve", "system_resolve"]

_MAX_ADDRESSES: Final = 4
"""Addresses of one name that are tried."""
_TLS_CLOSE_S: Final = 1.0

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Returns the IP addresses of a host; raises OSError when it has none."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where connections of one kind lead, and how far they may."""

    host: str
    port: int
    secure: bool
    allow_private: bool

    @classmethod
    def of(cls, url: str, *, allow_private: bool) -> "Endpoint":
        """Return the endpoint of an ``http://`` or ``https://`` URL.

        Raises:
            UnicodeError: If its host is no name that DNS can have.
        """
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        return cls(
            host=(parts.hostname or "").encode("idna").decode("ascii"),
            port=parts.port or (443 if secure else 80),
            secure=secure,
            allow_private=allow_private,
        )

    @property
    def label(self) -> str:
        """What it is called in logs and metrics."""
        scheme = "https" if self.secure else "http"
        reach = " (private allowed)" if self.allow_private else ""
        return f"{scheme}://{self.host}:{self.port}{reach}"

    def admits(self, address: Address) -> bool:
        """Tell whether *address* may be connected to."""
        return self.allow_private or is_public(address)


class _CreateConnection(Protocol):
    async def __call__(
        self,
        protocol_factory: Callable[[], NetworkStream],
        host: str,
        port: int,
        *,
        ssl: ssl.SSLContext | None,
        server_hostname: str | None,
        ssl_shutdown_timeout: float | None,
    ) -> tuple[asyncio.Transport, NetworkStream]: ...


async def system_resolve(host: str, port: int) -> list[str]:
    """Return the addresses that the system's resolver knows, the best one first."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class GuardedNetwork:
    """Opens connections for tools.

    A name is resolved here, once; the addresses it has are checked, and one of them is
    connected to. Nothing resolves the name a second time, so an answer that changes in
    between (DNS rebinding) leads nowhere.

    Args:
        context: For ``https``; the name in the certificate is always checked.
        resolve: Stands in for the system's resolver.
    """

    def __init__(
        self,
        *,
        context: ssl.SSLContext | None = None,
        resolve: Resolve = system_resolve,
    ) -> None:
        self._context = context or ssl.create_default_context()
        self._context.set_alpn_protocols(["h2", "http/1.1"])
        self._resolve = resolve

    async def connect(self, endpoint: Endpoint, *, timeout_s: float) -> NetworkStream:
        """Return an open connection.

        Args:
            endpoint: Where to.
            timeout_s: For everything together (s); each address gets its share.

        Raises:
            EndpointRefusedError: If no address of the endpoint is allowed.
            EndpointUnreachableError: If none answers as it should.
        """
        give_up_at = monotonic_s() + timeout_s
        addresses = await self._addresses(endpoint, timeout_s)
        reason = "no address"
        for left, address in _countdown(addresses):
            share_s = (give_up_at - monotonic_s()) / left
            try:
                async with asyncio.timeout(share_s):
                    return await self._open(endpoint, address)
            except ssl.SSLError as exc:
                reason = f"TLS: {exc.reason}"
            except OSError as exc:
                reason = type(exc).__name__
        raise EndpointUnreachableError(endpoint.host, reason)

    async def _addresses(self, endpoint: Endpoint, timeout_s: float) -> list[Address]:
        try:
            async with asyncio.timeout(timeout_s):
                found = await self._resolve(endpoint.host, endpoint.port)
        except (OSError, UnicodeError) as exc:
            reason = f"its name: {type(exc).__name__}"
            raise EndpointUnreachableError(endpoint.host, reason) from exc
        known = [ip_address(text) for text in dict.fromkeys(found)]
        admitted = [address for address in known if endpoint.admits(address)]
        if known and not admitted:
            raise EndpointRefusedError(endpoint.host)
        return admitted[:_MAX_ADDRESSES]

    async def _open(self, endpoint: Endpoint, address: Address) -> NetworkStream:
        # uvloop and asyncio connect to a literal address without resolving it.
        create: _CreateConnection = asyncio.get_running_loop().create_connection
        _, stream = await create(
            NetworkStream,
            str(address),
            endpoint.port,
            ssl=self._context if endpoint.secure else None,
            server_hostname=endpoint.host if endpoint.secure else None,
            ssl_shutdown_timeout=_TLS_CLOSE_S if endpoint.secure else None,
        )
        return stream


def _countdown(addresses: list[Address]) -> Iterator[tuple[int, Address]]:
    """Yield each address with the number of those left, itself included."""
    return zip(range(len(addresses), 0, -1), addresses, strict=True)
