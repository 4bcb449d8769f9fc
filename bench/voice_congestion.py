"""Voice in QUIC datagrams over a path that loses at random, by congestion controller.

Two aioquic connections in virtual time, 40 ms of path each way, 50 calls: 375 packets
of about 1,150 bytes a second. Neither sockets nor clocks: a seed gives one result.
"""

import argparse
import heapq
import itertools
import random
import struct
import tempfile
from pathlib import Path

from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import DatagramFrameReceived

from backhaul.credentials import LinkCredentials
from backhaul.pki import Role, create_authority, issue
from backhaul.transports.quic_congestion import VOICE
from backhaul.transports.quic_tls import quic_configuration

ONE_WAY_S = 0.04
SPEECH, TIMERS = 2, 3
SPEECH_FROM_S = 1.0
INTERVAL_S = 1 / 375
SIZE_BYTES = 1100
ADDRESS = ("192.0.2.1", 443)


class Simulation:
    """One client that speaks to one server."""

    def __init__(
        self, configurations: list[QuicConfiguration], loss: float, seconds: float
    ) -> None:
        self.rng = random.Random(1)  # noqa: S311 - a path, not a secret
        self.loss = loss
        self.end_s = SPEECH_FROM_S + seconds
        self.agenda: list[tuple[float, int, int, bytes]] = []
        self.count = itertools.count()
        client = QuicConnection(configuration=configurations[0])
        client.connect(ADDRESS, now=0.0)
        server = QuicConnection(
            configuration=configurations[1],
            original_destination_connection_id=client.original_destination_connection_id,
        )
        self.ends = (client, server)
        self.delays_s: list[float] = []
        self.sent = 0

    def run(self) -> None:
        """Speak, and then listen for ten seconds more."""
        self.push(0.0, 0, b"")
        at = SPEECH_FROM_S
        while at < self.end_s:
            self.push(at, SPEECH, b"")
            at += INTERVAL_S
        timers = [None, None]
        while self.agenda and self.agenda[0][0] < self.end_s + 10:
            now, _, end, data = heapq.heappop(self.agenda)
            self.happen(now, end, data)
            for index, connection in enumerate(self.ends):
                if connection.get_peer_address() is None:
                    continue  # nothing reached it yet
                for sent, _ in connection.datagrams_to_send(now=now):
                    speaks = now >= SPEECH_FROM_S
                    if not (speaks and self.rng.random() < self.loss):
                        self.push(now + ONE_WAY_S, 1 - index, sent)
                due = connection.get_timer()
                if due is not None and due != timers[index]:
                    timers[index] = due
                    self.push(max(due, now), TIMERS + index, b"")

    def happen(self, now: float, end: int, data: bytes) -> None:
        """Let one thing happen: a datagram, speech, or a timer."""
        if end == SPEECH:
            self.sent += 1
            frame = struct.pack("!d", now).ljust(SIZE_BYTES, b"\0")
            self.ends[0].send_datagram_frame(frame)
        elif end >= TIMERS:
            connection = self.ends[end - TIMERS]
            due = connection.get_timer()
            if due is not None and due <= now:
                connection.handle_timer(now=now)
        elif data:
            self.ends[end].receive_datagram(data, ADDRESS, now=now)
        while (event := self.ends[1].next_event()) is not None:
            if isinstance(event, DatagramFrameReceived):
                self.delays_s.append(now - struct.unpack_from("!d", event.data)[0])

    def push(self, at: float, end: int, data: bytes) -> None:
        """Let something happen later."""
        heapq.heappush(self.agenda, (at, next(self.count), end, data))


def main() -> None:
    """Print one row per controller and loss."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=20.0)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as name:
        create_authority(Path(name))
        files = [
            issue(Path(name), Role.EDGE, "e"),
            issue(Path(name), Role.REGION_AGENT, "a"),
        ]
        credentials = [LinkCredentials.load(each) for each in files]
    print("controller       loss   p50 ms   p99 ms  late or lost")
    for loss, algorithm in itertools.product(
        (0.0, 0.01, 0.03), ("reno", "cubic", VOICE)
    ):
        both = [
            quic_configuration(who, is_client=index == 0)
            for index, who in enumerate(credentials)
        ]
        for each in both:
            each.congestion_control_algorithm = algorithm
        simulation = Simulation(both, loss, seconds)
        simulation.run()
        delays = sorted(simulation.delays_s)
        in_time = sum(delay <= ONE_WAY_S + 0.1 for delay in delays)
        print(
            f"{algorithm:15} {loss:5.1%} {delays[len(delays) // 2] * 1000:8.0f} "
            f"{delays[len(delays) * 99 // 100] * 1000:8.0f} "
            f"{1 - in_time / simulation.sent:12.2%}"
        )


if __name__ == "__main__":
    main()
