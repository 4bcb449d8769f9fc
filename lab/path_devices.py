"""TUN devices: the network interfaces whose packets cross an emulated path."""

import fcntl
import os
import struct
from pathlib import Path
from typing import Final

from lab.path_namespaces import inside, run_ip
from lab.path_report import Side

__all__ = ["ADDRESSES", "MAX_PACKET_BYTES", "connect_end", "kernel_drops"]

ADDRESSES: Final[dict[Side, str]] = {"a": "198.18.0.1", "b": "198.18.0.2"}
"""Of the two ends. Source: RFC 2544, the range for tests of network devices."""

_NO_METRICS: Final = Path("/proc/sys/net/ipv4/tcp_no_metrics_save")
_OTHER: Final[dict[Side, Side]] = {"a": "b", "b": "a"}
_DEVICE: Final = "path0"
_MTU_BYTES: Final = 1500
MAX_PACKET_BYTES: Final = 2048
_QUEUE_PACKETS: Final = 20_000
"""What may wait in the kernel for the relay to read; it must never overflow."""

_TUNSETIFF: Final = 0x400454CA
"""Names the device behind a descriptor. Source, also of its flags: linux/if_tun.h"""
_IFF_TUN: Final = 0x0001
_IFF_NO_PI: Final = 0x1000


def connect_end(namespace: str, side: Side) -> int:
    """Give *namespace* its device and address; return the device's descriptor.

    Args:
        namespace: One end of the path.
        side: Which one.

    Raises:
        PathUnavailableError: If ``ip`` fails.
        OSError: If the kernel refuses the device.
    """
    with inside(namespace):
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        flags = _IFF_TUN | _IFF_NO_PI
        fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", _DEVICE.encode(), flags))
        # Connections learn nothing from those before them: runs are repeatable.
        _NO_METRICS.write_text("1", encoding="ascii")
    here, there = ADDRESSES[side], ADDRESSES[_OTHER[side]]
    link = ("-netns", namespace, "link", "set")
    run_ip(*link, "lo", "up")
    run_ip("-netns", namespace, "address", "add", here, "peer", there, "dev", _DEVICE)
    run_ip(*link, _DEVICE, "mtu", str(_MTU_BYTES), "txqueuelen", str(_QUEUE_PACKETS))
    # Without IPv6 addresses of its own the interface sends nothing unasked.
    run_ip(*link, _DEVICE, "addrgenmode", "none", "up")
    return device


def kernel_drops(namespace: str) -> int:
    """Return how many packets the kernel dropped that the relay did not read in time.

    Source: proc(5), /proc/net/dev: the twelfth figure is what was not transmitted.
    """
    with inside(namespace):
        table = Path("/proc/thread-self/net/dev").read_text(encoding="ascii")
    for line in table.splitlines():
        name, _, figures = line.partition(":")
        if name.strip() == _DEVICE:
            return int(figures.split()[11])
    return 0
