"""A port to listen on, chosen before there is anybody to listen."""

import atexit
import random
import socket
from collections import deque

__all__ = ["free_port"]

_PORTS = range(10_240, 32_768)
"""Below those that Linux gives to outgoing connections, which would take one between
its choice and its use. Source: ip_local_port_range in ip(7)."""
_MAX_CLAIMS = 256

_claims: deque[socket.socket] = deque()
"""Tell other processes which ports were chosen here; the oldest are in use by now."""


def free_port() -> int:
    """Return a port of loopback that is free on TCP and UDP, and not chosen lately.

    Raises:
        OSError: If there is none.
    """
    rng = random.SystemRandom()
    for port in rng.sample(_PORTS, min(len(_PORTS), 100)):
        with (
            socket.socket(type=socket.SOCK_STREAM) as tcp,
            socket.socket(type=socket.SOCK_DGRAM) as udp,
        ):
            try:
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
                _claim(port)
            except OSError:
                continue
            return port
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
