"""The process between two network namespaces: delays and loses what crosses a path.

Each namespace has a TUN device, an interface whose packets we read and write. The path
lives as long as the control socket that came with the process: when its owner goes,
however it goes, the namespaces are removed.
"""

import argparse
import contextlib
import gc
import os
import random
import select
import signal
import socket
import sys
import time
from collections import deque
from typing import Final, NoReturn

import msgspec

from backhaul.clock import monotonic_s
from lab.path_devices import MAX_PACKET_BYTES, connect_end, kernel_drops
from lab.path_namespaces import (
    PathUnavailableError,
    make_namespace,
    remove_namespace,
    sweep_namespaces,
)
from lab.path_report import Failed, Order, PathReport, Ready, Side, Tally
from lab.path_rules import Conditions, Drop, OneWay, protocol_of

__all__ = ["main"]

_READ_AT_ONCE: Final = 32
"""Packets taken from one end before looking whether others are due to leave."""
_MAX_WAITING: Final = 200_000
"""Packets on their way in one direction; at a delay of 100 ms, those of 24 Gbit/s."""
_MAX_ORDER_BYTES: Final = 65536


class _Line:
    """One direction: reads from one device, writes to the other when it is time."""

    def __init__(self, source: int, sink: int, rng: random.Random) -> None:
        self.source = source
        self.way = OneWay(Conditions(), rng)
        self.tally = Tally()
        self._sink = sink
        self._waiting: deque[tuple[float, bytes]] = deque()

    def next_due(self) -> float | None:
        return self._waiting[0][0] if self._waiting else None

    def read(self) -> None:
        for _ in range(_READ_AT_ONCE):
            try:
                packet = os.read(self.source, MAX_PACKET_BYTES)
            except BlockingIOError:
                return
            self.tally.taken += 1
            if len(self._waiting) >= _MAX_WAITING:
                self.tally.dropped[Drop.QUEUE_FULL] += 1
                continue
            fate = self.way.send(len(packet), protocol_of(packet), now=monotonic_s())
            if isinstance(fate, Drop):
                self.tally.dropped[fate] += 1
            else:
                self._waiting.append((fate, packet))

    def release(self) -> None:
        waiting, tally = self._waiting, self.tally
        while waiting:
            due, packet = waiting[0]
            late_s = monotonic_s() - due
            if late_s < 0:
                return
            waiting.popleft()
            tally.lateness.add(late_s)
            try:
                os.write(self._sink, packet)
                tally.delivered += 1
            except OSError:
                tally.refused += 1  # an interface that was taken down, for example


class _Relay:
    """Both lines and the control socket, in one loop without timers or tasks."""

    def __init__(
        self, devices: dict[Side, int], namespaces: dict[Side, str], seed: int
    ) -> None:
        self._namespaces = namespaces
        self._lines: dict[Side, _Line] = {
            "a": _Line(devices["a"], devices["b"], random.Random(f"{seed}:a")),  # noqa: S311 - repeatable
            "b": _Line(devices["b"], devices["a"], random.Random(f"{seed}:b")),  # noqa: S311 - repeatable
        }

    def run(self, control: socket.socket) -> None:
        """Relay until the owner's end of *control* is closed."""
        lines = tuple(self._lines.values())
        watched = [control.fileno(), *(line.source for line in lines)]
        while True:
            # select alone takes microseconds; poll and epoll take milliseconds.
            readable, _, _ = select.select(watched, (), (), self._wait_s())
            for line in lines:
                line.release()
                if line.source in readable:
                    line.read()
                    line.release()
            if watched[0] in readable and not self._obey(control):
                return

    def _wait_s(self) -> float | None:
        dues = [line.next_due() for line in self._lines.values()]
        due = min((due for due in dues if due is not None), default=None)
        return None if due is None else max(due - monotonic_s(), 0.0)

    def _obey(self, control: socket.socket) -> bool:
        order = control.recv(_MAX_ORDER_BYTES)
        if not order:
            return False
        decoded = msgspec.json.decode(order, type=Order)
        for side, conditions in decoded.conditions.items():
            self._lines[side].way.conditions = conditions
        control.send(msgspec.json.encode(self._report(decoded.number)))
        return True

    def _report(self, number: int) -> PathReport:
        return PathReport(
            number=number,
            lines={
                side: line.tally.report(kernel_drops(self._namespaces[side]))
                for side, line in self._lines.items()
            },
            cpu_s=time.process_time(),
        )


def _stop(_number: int, _frame: object) -> NoReturn:
    sys.exit(0)


def _hurry() -> None:
    """Come before what is being measured, or the path would measure itself."""
    with contextlib.suppress(OSError):
        policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(0, policy, os.sched_param(1))
    gc.disable()


def _serve(control: socket.socket, *, seed: int) -> None:
    namespaces: dict[Side, str] = {}
    try:
        sweep_namespaces()
        devices: dict[Side, int] = {}
        for side in ("a", "b"):
            namespaces[side] = make_namespace(side)
            devices[side] = connect_end(namespaces[side], side)
        relay = _Relay(devices, namespaces, seed)
        control.send(msgspec.json.encode(Ready(namespaces)))
        _hurry()
        relay.run(control)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for name in namespaces.values():
            remove_namespace(name)


def main() -> None:
    """Make a path and relay on it until its owner goes."""
    parser = argparse.ArgumentParser(prog="python -m lab.path_relay")
    parser.add_argument("--control-fd", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the owner's to answer
    with socket.socket(fileno=chosen.control_fd) as control:
        try:
            _serve(control, seed=chosen.seed)
        except (PathUnavailableError, OSError) as exc:
            reason = exc.reason if isinstance(exc, PathUnavailableError) else str(exc)
            with contextlib.suppress(OSError):
                control.send(msgspec.json.encode(Failed(reason)))


if __name__ == "__main__":
    main()
