"""Ports of loopback: chosen before there is anybody to listen, or on both protocols."""

import atexit
import random
import socket
from collections import deque

__all__ = ["bind_both", "free_port"]

_PORTS = range(10_240, 32_768)
"""Below those that Linux gives to outgoing connections, which would take one between
its choice and its use. Source: ip_local_port_range in ip(7)."""
_MAX_CLAIMS = 256
_ATTEMPTS = 100
"""Ports to try before there is thought to be none."""

_claims: deque[socket.socket] = deque()
"""Tell other processes which ports were chosen here; the oldest are in use by now."""


def free_port() -> int:
    """Return a port of loopback that is free on TCP and UDP, and not chosen lately.

    Raises:
        OSError: If there is none.
    """
    for _ in range(_ATTEMPTS):
        tcp, udp = bind_both()
        with tcp, udp:
            port: int = tcp.getsockname()[1]
            try:
                _claim(port)
            except OSError:
                continue
            return port
    raise OSError("no free port on loopback")


def bind_both() -> tuple[socket.socket, socket.socket]:
    """Return a TCP and a UDP socket that are bound to one port of loopback.

    Raises:
        OSError: If there is no such port.
    """
    rng = random.SystemRandom()
    for port in rng.sample(_PORTS, min(len(_PORTS), _ATTEMPTS)):
        tcp = socket.socket(type=socket.SOCK_STREAM)
        udp = socket.socket(type=socket.SOCK_DGRAM)
        try:
            tcp.bind(("127.0.0.1", port))
            udp.bind(("127.0.0.1", port))
        except OSError:
            tcp.close()
            udp.close()
            continue
        return tcp, udp
    raise OSError("no free port on loopback")


def _claim(port: int) -> None:
    """Claim a port, by a name that the kernel forgets with this process.

    Raises:
        OSError: If another one has.
    """
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0warmline-port-{port}")  # see "abstract" in unix(7)
    except OSError:
        claim.close()
        raise
    _claims.append(claim)
    if len(_claims) > _MAX_CLAIMS:
        _claims.popleft().close()


@atexit.register
def _forget_all() -> None:
    for claim in _claims:
        claim.close()
