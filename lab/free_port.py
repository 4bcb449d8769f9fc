"""A port to listen on, chosen before there is anybody to listen."""

import random
import socket

__all__ = ["free_port"]

_PORTS = range(10_240, 32_768)
"""Below those that Linux gives to outgoing connections, which would take one between
its choice and its use. Source: ip_local_port_range in ip(7)."""


def free_port() -> int:
    """Return a TCP port of loopback that nobody listens on now.

    Raises:
        OSError: If there is none.
    """
    rng = random.SystemRandom()
    for port in rng.sample(_PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port on loopback")
