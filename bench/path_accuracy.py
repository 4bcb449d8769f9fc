"""How exactly does an emulated path keep its delay, and what does the relay cost?

Sends datagrams at several rates over a path of 40 ms and prints, for each rate, how
much longer they took, the wakeups of both ends included. Needs root.
"""

import asyncio
import socket
import struct
import sys
import threading
import time
from array import array

from backhaul.clock import monotonic_s
from backhaul.transports.sockets import enlarge_receive_buffer
from lab.figures import percentile
from lab.path import NetworkPath, PathUnavailableError

DELAY_S = 0.04
SECONDS = 3
RATES = (500, 2_000, 5_000, 15_000)
PORT = 5000
TIME = struct.Struct("!d200x")


def receive(udp: socket.socket, count: int, over_s: "array[float]") -> None:
    """Take *count* datagrams, or what comes before a second of silence."""
    udp.settimeout(1.0)
    try:
        for _ in range(count):
            sent_at = TIME.unpack(udp.recv(2048))[0]
            over_s.append(monotonic_s() - sent_at - DELAY_S)
    except TimeoutError:
        return


def send(udp: socket.socket, to: tuple[str, int], rate: int) -> None:
    """Send for some seconds at *rate* datagrams a second."""
    started_at = monotonic_s()
    for number in range(rate * SECONDS):
        wait_s = started_at + number / rate - monotonic_s()
        if wait_s > 0:
            time.sleep(wait_s)
        udp.sendto(TIME.pack(monotonic_s()), to)


async def measure(path: NetworkPath, rate: int) -> None:
    """Measure one rate and print a line."""
    over_s: array[float] = array("d")
    count, to = rate * SECONDS, (path.addresses["b"], PORT)
    with (
        path.socket_in("a", socket.SOCK_DGRAM) as sender,
        path.socket_in("b", socket.SOCK_DGRAM) as receiver,
    ):
        enlarge_receive_buffer(receiver)
        receiver.bind(to)
        listening = threading.Thread(target=receive, args=(receiver, count, over_s))
        listening.start()
        before = await path.report()
        await asyncio.to_thread(send, sender, to, rate)
        await asyncio.to_thread(listening.join)
        after = await path.report()
    ranks = {"p50": 50, "p99": 99, "p99.9": 99.9, "max": 100}
    figures = "  ".join(
        f"{name} {(percentile(over_s, rank) or 0) * 1e6:7.0f}"
        for name, rank in ranks.items()
    )
    cost_us = (after.cpu_s - before.cpu_s) / count * 1e6
    missing, late_us = count - len(over_s), after.lines["a"].late_p99_us
    print(
        f"{rate:6} a second: {figures} us over   {missing} missing"
        f"   relay {cost_us:5.1f} us a packet, late p99 {late_us:g} us so far"
    )


async def measure_all() -> None:
    """Measure every rate on one path."""
    async with NetworkPath(delay_ms=DELAY_S * 1000) as path:
        for rate in RATES:
            await measure(path, rate)


def main() -> None:
    """Measure, or say why not."""
    try:
        asyncio.run(measure_all())
    except PathUnavailableError as exc:
        sys.exit(f"bench: {exc}")


if __name__ == "__main__":
    main()
