"""How fast the machine is at the moment: the same little work, again and again.

A shared machine does the same work in half the time, or twice, from one minute to the
next, and every system is measured in a minute of its own.
"""

import asyncio
import json
import socket
import time
from statistics import median
from typing import Final

from backhaul.clock import monotonic_s

__all__ = ["unit_us"]

_EVERY_S: Final = 0.02
_ROUNDS: Final = 10
_MESSAGE: Final = json.dumps(
    {"event": "media", "media": {"payload": "/" * 216}, "streamSid": "MZ" + "0" * 32}
).encode()


async def unit_us(until_s: float) -> float:
    """Return the processor time (us, median) of a unit of work, until then.

    A unit is what systems under test do with a message: socket, JSON, bytes.
    """
    ours, theirs = socket.socketpair()
    found: list[float] = []
    with ours, theirs:
        while monotonic_s() < until_s:
            found.append(_unit_s(ours, theirs))
            await asyncio.sleep(_EVERY_S)
    return median(found) * 1e6 if found else 0.0


def _unit_s(ours: socket.socket, theirs: socket.socket) -> float:
    began_s = time.process_time()
    for _ in range(_ROUNDS):
        ours.send(_MESSAGE)
        payload = json.loads(theirs.recv(4096))["media"]["payload"]
        json.dumps({"type": "input_audio_buffer.append", "audio": payload})
    return (time.process_time() - began_s) / _ROUNDS
