"""Registers the congestion controller for voice with aioquic."""

from collections.abc import Iterable
from typing import Final

from aioquic.quic.congestion.base import (
    QuicCongestionControl,
    register_congestion_control,
)
from aioquic.quic.packet_builder import QuicSentPacket

from backhaul.clock import monotonic_s
from backhaul.core.voice_congestion import VoiceCongestionConfig, VoiceWindow

__all__ = ["VOICE", "VoiceCongestionControl"]

VOICE: Final = "warmline-voice"
"""What aioquic knows the controller by."""


class VoiceCongestionControl(QuicCongestionControl):
    """Tells a `VoiceWindow` what happens on one connection.

    Attributes:
        window: Decides.
        packets_arrived: Acknowledged since `take_delivery`.
        packets_lost: Lost since then.
    """

    def __init__(self, *, max_datagram_size: int) -> None:
        super().__init__(max_datagram_size=max_datagram_size)
        config = VoiceCongestionConfig(datagram_bytes=max_datagram_size)
        self.window = VoiceWindow(config, now=monotonic_s())
        self.packets_arrived = 0
        self.packets_lost = 0
        self._follow()

    def take_delivery(self) -> tuple[int, int]:
        """Return how many packets arrived and were lost since the last call."""
        taken = self.packets_arrived, self.packets_lost
        self.packets_arrived = self.packets_lost = 0
        return taken

    def offered(self, size_bytes: int, *, now: float) -> None:
        """Media was handed over to be sent."""
        self.window.on_offered(size_bytes, now=now)
        self._follow()

    def on_packet_acked(self, *, now: float, packet: QuicSentPacket) -> None:
        """A packet arrived; see QuicCongestionControl."""
        in_flight = self.bytes_in_flight
        self.bytes_in_flight -= packet.sent_bytes
        self.packets_arrived += 1
        self.window.on_acked(packet.sent_bytes, in_flight_bytes=in_flight, now=now)
        self._follow()

    def on_packet_sent(self, *, packet: QuicSentPacket) -> None:
        """A packet left; see QuicCongestionControl."""
        self.bytes_in_flight += packet.sent_bytes

    def on_packets_expired(self, *, packets: Iterable[QuicSentPacket]) -> None:
        """Packets count no longer; see QuicCongestionControl."""
        self.bytes_in_flight -= sum(packet.sent_bytes for packet in packets)

    def on_packets_lost(self, *, now: float, packets: Iterable[QuicSentPacket]) -> None:
        """Packets were lost; see QuicCongestionControl."""
        sizes = [packet.sent_bytes for packet in packets]
        self.bytes_in_flight -= sum(sizes)
        self.packets_lost += len(sizes)
        self.window.on_lost(len(sizes), now=now)
        self._follow()

    def on_persistent_congestion(self) -> None:
        """Nothing arrived for long; see QuicCongestionControl."""
        self.window.on_path_lost()
        self._follow()

    def on_rtt_measurement(self, *, now: float, rtt: float) -> None:
        """A round trip was measured; see QuicCongestionControl."""
        self.window.on_round_trip(rtt, now=now)
        self._follow()

    def _follow(self) -> None:
        self.congestion_window = self.window.window_bytes


register_congestion_control(VOICE, VoiceCongestionControl)
