"""Speech over a path that loses, doubles and mixes datagrams."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from backhaul.core.audio_receiver import MAX_WAIT_S, AudioReceiver, ChannelCounters
from backhaul.core.frames import Frame, FrameKind, decode_batch
from backhaul.core.redundancy import AudioPacker

FRAME_S = 1 / 64
# Steps of 1/64 s are exact in binary, so that times can be compared.
delays = st.integers(0, 8).map(lambda steps: steps / 64)
fates = st.one_of(st.just(()), st.tuples(delays), st.tuples(delays, delays))
"""When a datagram arrives after it was sent: never, once or twice."""


def datagrams_of(calls: int, turns: int, depth: int) -> list[tuple[float, list[Frame]]]:
    packer = AudioPacker(rate_bytes_per_s=1e9, burst_bytes=1e9, now=0.0)
    sent: list[tuple[float, list[Frame]]] = []
    for turn in range(turns):
        now = turn * FRAME_S
        frames = [
            Frame(FrameKind.AUDIO, call, turn, bytes([call, turn]) * 80)
            for call in range(calls)
        ]
        packed = packer.pack(frames, depth=depth, now=now)
        sent += [(now, decode_batch(bytes(datagram))) for datagram in packed]
    return sent


class Receiver:
    """A receiver whose timer rings in time, and what it heard when."""

    def __init__(self) -> None:
        self.counters = ChannelCounters()
        self.receivers: dict[int, AudioReceiver] = {}
        self.heard: dict[int, list[int]] = {}
        self.first_seen: dict[tuple[int, int], float] = {}
        self.heard_at: dict[tuple[int, int], float] = {}

    def run_until(self, now: float) -> None:
        for receiver in self.receivers.values():
            while (due := receiver.next_deadline()) is not None and due <= now:
                self.take(receiver.expire(now=due), due)

    def arrive(self, frames: list[Frame], now: float) -> None:
        self.run_until(now)
        for frame in frames:
            self.first_seen.setdefault((frame.channel, frame.sequence), now)
            receiver = self.receivers.get(frame.channel)
            if receiver is None:
                receiver = self.receivers[frame.channel] = AudioReceiver(self.counters)
            self.take(receiver.receive(frame, now=now), now)

    def take(self, frames: Sequence[Frame], now: float) -> None:
        for frame in frames:
            assert frame.payload == bytes([frame.channel, frame.sequence]) * 80
            self.heard.setdefault(frame.channel, []).append(frame.sequence)
            self.heard_at[frame.channel, frame.sequence] = now


@settings(deadline=None)
@given(st.data(), st.integers(1, 8), st.integers(1, 20), st.integers(0, 2))
def test_nothing_is_doubled_or_mixed_and_no_wait_is_long(
    data: st.DataObject, calls: int, turns: int, depth: int
) -> None:
    sent = datagrams_of(calls, turns, depth)
    arrivals = sorted(
        (sent_at + delay, index)
        for index, (sent_at, _) in enumerate(sent)
        for delay in data.draw(fates)
    )
    receiver = Receiver()
    for now, index in arrivals:
        receiver.arrive(sent[index][1], now)
    receiver.run_until(1e9)
    for sequences in receiver.heard.values():
        assert sequences == sorted(set(sequences))
    for frame, at in receiver.heard_at.items():
        assert at - receiver.first_seen[frame] <= MAX_WAIT_S + 1e-9
    for frame, seen_at in receiver.first_seen.items():
        # Given up only for one behind it that had waited for it long enough.
        if frame not in receiver.heard_at:
            channel, number = frame
            assert any(
                receiver.first_seen[channel, later] <= seen_at - MAX_WAIT_S + 1e-9
                for later in range(number + 1, turns)
                if (channel, later) in receiver.first_seen
            )


@settings(deadline=None)
@given(st.data(), st.integers(1, 8), st.integers(1, 20), st.integers(0, 2))
def test_with_loss_alone_only_what_never_arrived_is_missing(
    data: st.DataObject, calls: int, turns: int, depth: int
) -> None:
    sent = datagrams_of(calls, turns, depth)
    receiver = Receiver()
    arrived: set[tuple[int, int]] = set()
    for sent_at, frames in sent:
        if data.draw(st.booleans()):
            arrived |= {(frame.channel, frame.sequence) for frame in frames}
            receiver.arrive(frames, sent_at)
    receiver.run_until(1e9)
    assert set(receiver.heard_at) == arrived


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), max_size=60),
    st.lists(st.integers(0, 4), max_size=60),
)
def test_whatever_a_peer_sends_is_heard_in_order(
    pieces: list[tuple[int, int]], waits: list[int]
) -> None:
    receiver = Receiver()
    now = 0.0
    for (channel, sequence), wait in zip(pieces, waits, strict=False):
        now += wait / 64
        payload = bytes([channel, sequence]) * 80
        receiver.arrive([Frame(FrameKind.AUDIO, channel, sequence, payload)], now)
    receiver.run_until(1e9)
    for sequences in receiver.heard.values():
        assert sequences == sorted(set(sequences))
