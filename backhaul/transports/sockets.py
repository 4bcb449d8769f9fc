"""Options of the sockets under the transports; each is set and then read back."""

import asyncio
import contextlib
import socket
from typing import Final

__all__ = [
    "UDP_BUFFER_BYTES",
    "SocketAddress",
    "congestion_control",
    "connect_tcp",
    "enlarge_receive_buffer",
    "tune_for_voice",
    "udp_socket",
]

SocketAddress = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
"""As getaddrinfo gives them."""

UDP_BUFFER_BYTES: Final = 4 * 1024 * 1024
"""Default buffers lost 6 % of 10,000 datagrams a second; these lost none."""

_SO_RCVBUFFORCE: Final = 33
"""Exceeds the machine's limit, for who may. Source: socket(7), asm-generic/socket.h"""
_MAX_NAME_BYTES: Final = 16
"""TCP_CA_NAME_MAX. Source: linux/tcp.h"""


async def connect_tcp(host: str, port: int) -> socket.socket:
    """Return a socket that is connected to the first address that answers.

    Give it to aiofastnet, whose own connecting closes the socket of a connection that
    is cancelled while uvloop still polls it; the next socket to get its number then
    cannot be used.

    Raises:
        OSError: If no address does.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure = OSError(f"no address of {host}")
    for family, kind, protocol, _, address in found:
        tcp = socket.socket(family, kind, protocol)
        tcp.setblocking(False)
        try:
            await loop.sock_connect(tcp, address)
        except OSError as exc:
            tcp.close()
            failure = exc
        except asyncio.CancelledError:
            tcp.close()
            raise
        else:
            return tcp
    raise failure


def congestion_control(tcp: socket.socket, wanted: str) -> str:
    """Have *tcp* use the congestion control *wanted*; return the one it uses.

    The default differs from machine to machine. One that the kernel lacks, or that
    an unprivileged process may not choose, leaves the socket as it was.

    Args:
        tcp: A listening socket hands it on to those that it accepts.
        wanted: For example ``cubic``. Source: tcp(7), TCP_CONGESTION
    """
    with contextlib.suppress(FileNotFoundError, PermissionError):
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, wanted.encode())
    name = tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, _MAX_NAME_BYTES)
    return name.split(b"\0", 1)[0].decode("ascii")


def tune_for_voice(tcp: socket.socket) -> None:
    """Have *tcp* send what is small at once, and behave alike on every machine.

    The default congestion control differs from host to host; CUBIC is in every kernel,
    and the figures of the benches are taken with it.
    """
    tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    congestion_control(tcp, "cubic")


def enlarge_receive_buffer(udp: socket.socket, wanted: int = UDP_BUFFER_BYTES) -> int:
    """Give *udp* a receive buffer of *wanted* bytes; return how many it has.

    Less than wanted means that the machine's ``net.core.rmem_max`` is in the way.
    """
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, wanted)
    if _receive_buffer(udp) < wanted:
        with contextlib.suppress(PermissionError):
            udp.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, wanted)
    return _receive_buffer(udp)


def udp_socket(
    family: int, *, own: SocketAddress | None = None, peer: SocketAddress | None = None
) -> socket.socket:
    """Return a socket for an event loop, with a large receive buffer.

    Args:
        family: Of the address.
        own: Where to listen.
        peer: Whom alone to talk to; only then is the kernel's word of a peer that does
            not listen ours to hear.

    Raises:
        OSError: If the address cannot be had, or there is no way to it.
    """
    udp = socket.socket(family, socket.SOCK_DGRAM)
    try:
        udp.setblocking(False)
        enlarge_receive_buffer(udp)
        if own is not None:
            udp.bind(own)
        if peer is not None:
            udp.connect(peer)
    except OSError:
        udp.close()
        raise
    return udp


def _receive_buffer(udp: socket.socket) -> int:
    # The kernel doubles what is asked for, to have room for its own structures.
    return udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
