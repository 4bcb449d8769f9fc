"""One end of `transports.py`, in a process of its own: talks, listens, measures.

The edge's end opens the calls and sends 20 ms frames on each; the agent's end answers
in chunks of 200 ms. Every piece of audio begins with the time at which it was sent, on
the clock that both processes read. Prints two JSON lines: one when it is ready, and
one with the figures.
"""

import argparse
import asyncio
import gc
import json
import logging
import random
import signal
import struct
import sys
import time
from array import array
from pathlib import Path
from typing import Any, Final

import structlog
import uvloop
from transport_carriers import Send, carrier

from backhaul.clock import monotonic_s
from backhaul.pki import Role, TlsFiles
from lab.figures import percentile

WARM_UP_S: Final = 3.0
OWN_WARM_UP_S: Final = 0.5
OWN_SECONDS: Final = 2.0
DRAIN_S: Final = 5.0
IN_TIME_S: Final = 0.1
"""Over propagation; what comes later is no use to who listens."""
_HEADER: Final = struct.Struct("!dII")
_BYTES_PER_S: Final = 8000
INTERVAL_S: Final = {"edge": 0.02, "agent": 0.2}
_AT_LEAST_S: Final = 0.0005
"""Timers move in milliseconds; what is due sooner goes with what is due now."""


class Listener:
    """Notes what arrives, and when; what that means is worked out when all is over."""

    def __init__(self, interval_s: float, warm_up_s: float = WARM_UP_S) -> None:
        self._first = round(warm_up_s / interval_s)
        self._headers: list[bytes] = []
        self._heard_at = array("d")

    def hear(self, audio: bytes) -> None:
        """Take one piece of audio."""
        self._headers.append(audio[: _HEADER.size])
        self._heard_at.append(monotonic_s())

    def _delays_s(self) -> dict[tuple[int, int], list[float]]:
        """Return by call and number how long each copy of a piece took."""
        found: dict[tuple[int, int], list[float]] = {}
        for header, heard_at in zip(self._headers, self._heard_at, strict=True):
            sent_at, call, number = _HEADER.unpack(header)
            if number >= self._first:
                found.setdefault((call, number), []).append(heard_at - sent_at)
        return found

    def figures(self, propagation_s: float) -> dict[str, Any]:
        """Return what was measured."""
        copies = self._delays_s().values()
        delays_s = sorted(copy[0] for copy in copies)
        in_time = sum(delay <= propagation_s + IN_TIME_S for delay in delays_s)
        ranks = {"p50_ms": 50, "p99_ms": 99, "p999_ms": 99.9}
        found = {name: percentile(delays_s, rank) for name, rank in ranks.items()}
        return {
            "received": len(delays_s),
            "in_time": in_time,
            "doubled": sum(map(len, copies)) - len(delays_s),
            **{name: (value or 0.0) * 1000 for name, value in found.items()},
        }


class Talker:
    """Sends audio on every call, each at its own phase."""

    def __init__(
        self,
        sends: list[Send],
        interval_s: float,
        seconds: float,
        *,
        warm_up_s: float = WARM_UP_S,
    ) -> None:
        self._sends = sends
        self._interval_s = interval_s
        self._warm_up = round(warm_up_s / interval_s)
        self._count = self._warm_up + round(seconds / interval_s)
        self._late_s = array("d")
        self._cpu_s = 0.0

    async def talk(self) -> None:
        """Send everything; the time of processor counts after the warm-up."""
        rng = random.Random(1)  # noqa: S311 - repeatable
        order = sorted(
            (rng.uniform(0, self._interval_s), call, send)
            for call, send in enumerate(self._sends)
        )
        filler = bytes(round(self._interval_s * _BYTES_PER_S) - _HEADER.size)
        started_at = woke_at = monotonic_s()
        for number in range(self._count):
            if number == self._warm_up:
                self._cpu_s = -time.process_time()
            for phase, call, send in order:
                due = started_at + number * self._interval_s + phase
                if due - woke_at > _AT_LEAST_S:
                    woke_at = await _sleep_until(due)
                self._late_s.append(woke_at - due)
                pending = send(_HEADER.pack(woke_at, call, number) + filler)
                if pending is not None:
                    await pending
            await asyncio.sleep(0)  # others have their turn when we are late
        self._cpu_s += time.process_time()

    def figures(self) -> dict[str, Any]:
        """Return what was sent and what it cost."""
        sent = (self._count - self._warm_up) * len(self._sends)
        late_s = percentile(self._late_s[-sent:], 99) or 0.0
        return {"sent": sent, "cpu_s": self._cpu_s, "sender_late_p99_ms": late_s * 1000}


async def _sleep_until(due: float) -> float:
    wait_s = due - monotonic_s()
    if wait_s > 0:
        await asyncio.sleep(wait_s)
        return monotonic_s()
    # Too late already: what is sent now counts from when it was due.
    await asyncio.sleep(0)
    return due


async def own_cost(calls: int, interval_s: float) -> dict[str, float]:
    """Return what pacing and counting cost without a transport, per piece."""
    listener = Listener(interval_s, OWN_WARM_UP_S)
    sends: list[Send] = [listener.hear] * calls
    talker = Talker(sends, interval_s, OWN_SECONDS, warm_up_s=OWN_WARM_UP_S)
    await talker.talk()
    found = talker.figures()
    return {"own_cpu_s_per_piece": found["cpu_s"] / found["sent"]}


async def run_edge(chosen: argparse.Namespace) -> dict[str, Any]:
    """Open the calls and talk."""
    own = await own_cost(chosen.calls, INTERVAL_S["edge"])
    files = TlsFiles.of(chosen.pki, Role.EDGE, "edge-1")
    listener = Listener(INTERVAL_S["agent"])
    sends = await carrier(chosen.transport, chosen.loss_percent).dial(
        chosen.address, files, chosen.calls, listener.hear
    )
    print(json.dumps({"calls": len(sends)}), flush=True)
    gc.disable()  # a collection's pause is no transport's, and hits whoever comes
    talker = Talker(sends, INTERVAL_S["edge"], chosen.seconds)
    await talker.talk()
    await asyncio.sleep(DRAIN_S)
    return own | talker.figures() | listener.figures(chosen.propagation_ms / 1000)


async def run_agent(chosen: argparse.Namespace) -> dict[str, Any]:
    """Accept the calls, answer, and tell on SIGTERM what was heard."""
    own = await own_cost(chosen.calls, INTERVAL_S["agent"])
    files = TlsFiles.of(chosen.pki, Role.REGION_AGENT, "home")
    stopped, complete = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    listener = Listener(INTERVAL_S["edge"])
    sends: list[Send] = []

    def on_call(send: Send) -> None:
        sends.append(send)
        if len(sends) == chosen.calls:
            complete.set()

    serving = carrier(chosen.transport, chosen.loss_percent)
    port = await serving.serve(chosen.address, files, on_call, listener.hear)
    print(json.dumps({"port": port}), flush=True)
    await complete.wait()
    gc.disable()  # a collection's pause is no transport's, and hits whoever comes
    talker = Talker(sends, INTERVAL_S["agent"], chosen.seconds)
    await talker.talk()
    await stopped.wait()
    return own | talker.figures() | listener.figures(chosen.propagation_ms / 1000)


def main() -> None:
    """Be one end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=("edge", "agent"))
    parser.add_argument("--transport", required=True)
    parser.add_argument("--address", required=True, help="host:port; agent: host")
    parser.add_argument("--pki", type=Path, required=True)
    parser.add_argument("--calls", type=int, required=True)
    parser.add_argument("--loss-percent", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--propagation-ms", type=float, required=True)
    chosen = parser.parse_args()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    run = run_edge if chosen.side == "edge" else run_agent
    print(json.dumps(uvloop.run(run(chosen))), flush=True)


if __name__ == "__main__":
    main()
