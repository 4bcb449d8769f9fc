"""What Python itself costs for each frame at an edge and at an agent: no sockets.

`--against DIR` measures the packages of another working tree in turns with these.
"""

import argparse
import asyncio
import base64
import itertools
import json
import os
import random
import subprocess
import sys
import time
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from backhaul.batcher import Batch, Batcher
from backhaul.channels import Channel
from backhaul.clock import monotonic_s
from backhaul.core.arrival import ArrivalEstimator
from backhaul.core.audio_receiver import ChannelCounters
from backhaul.core.frames import Frame, FrameKind, decode_batch, encode_batch
from backhaul.core.messages import Arrived
from backhaul.core.profile import TurnDetection
from edge.core.media_stream import MediaStreamProtocol
from region_agent.caller_voice import CallerVoice
from region_agent.core.hearing import Hearing, Line
from region_agent.core.open_limiter import OpenLimiter
from region_agent.core.pool_config import Capacity, PoolConfig
from region_agent.core.pool_events import (
    LeaseRedeemed,
    LeaseRequested,
    OpenSession,
    PoolAction,
    ProofGiven,
    ProveSession,
    SessionOpened,
)
from region_agent.core.session_pool import SessionPool
from region_agent.core.session_pulse import PulseConfig
from region_agent.realtime import RealtimeCounters, RealtimeSession

if TYPE_CHECKING:
    from backhaul.channel_table import ChannelTable
    from backhaul.channels import ChannelHandler
    from backhaul.links import Link
    from region_agent.first_audio import FirstAudioWatch

FRAME: Final = bytes(range(160))
SID: Final = b'"streamSid":"MZ0123456789abcdef0123456789abcdef"'
START: Final = (
    b'{"event":"start",' + SID + b',"sequenceNumber":"1","start":{"callSid":"CA1",'
    b'"accountSid":"AC1","mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,'
    b'"channels":1}}}'
)
MEDIA: Final = (
    b'{"event":"media","sequenceNumber":"4711","media":{"track":"inbound",'
    b'"chunk":"4710","timestamp":"94200","payload":"'
    + base64.b64encode(FRAME)
    + b'"},'
    + SID
    + b"}"
)
MARK: Final = (
    b'{"event":"mark","sequenceNumber":"4711",' + SID + b',"mark":{"name":"1:123456"}}'
)
FRAMES_OF_TICK: Final = 5
CALLS: Final = 200
ROUNDS: Final = 5
"""Of both trees, in turns: the machine changes its speed."""


def microseconds(run: Callable[[], object], *, pieces: int = 1) -> float:
    """Return the least CPU time (us) of one of the *pieces* that *run* handles."""
    number = max(2000 // pieces, 5)
    spent = timeit.repeat(run, number=number, repeat=9, timer=time.process_time)
    return min(spent) / number / pieces * 1e6


class FakeTable:
    """What a channel asks of its table, as far as audio goes."""

    counters = ChannelCounters()


class FakeLink:
    """Gathers what channels send, encodes it tick by tick, and throws it away."""

    def __init__(self) -> None:
        self.channels: dict[int, Channel] = {}
        self.sent: list[bytes] = []
        batch = Batch(Batcher(), lambda frames: self.sent.append(encode_batch(frames)))
        self.queue, self.flush = batch.add, batch.flush


class Hearer:
    """A call that throws away what it hears."""

    def on_audio(self, audio: bytes) -> None:
        """Throw it away."""


class FakeWebSocket:
    """A session's WebSocket that throws away what is sent."""

    def __init__(self) -> None:
        self.underlying_transport = self

    def set_write_buffer_limits(self, **_: int) -> None:
        """Nothing waits."""

    def get_extra_info(self, _: str) -> None:
        """There is no socket."""

    def send(self, kind: object, message: bytes) -> None:
        """Throw it away."""


def measure_media_stream() -> dict[str, float]:
    """Return what a media message and a mark cost (us)."""
    protocol = MediaStreamProtocol(max_bad_frames=1)
    protocol.receive(START)
    return {
        "edge: media message": microseconds(lambda: protocol.receive(MEDIA)),
        "edge: mark": microseconds(lambda: protocol.receive(MARK)),
    }


def measure_channel() -> dict[str, float]:
    """Return what a frame costs on its way through a channel, both ends (us)."""
    link = FakeLink()
    channel = Channel(
        cast("ChannelTable", FakeTable()), cast("Link", link), 5, is_ours=True
    )
    handler = cast("ChannelHandler", Hearer())
    numbers = itertools.count()

    def send() -> None:
        for _ in range(20):
            for _ in range(FRAMES_OF_TICK):
                channel.send_audio(FRAME)
            link.flush()
        link.sent.clear()
        channel.acknowledge(Arrived(5, 0, next(numbers) * 100 + 100))

    def receive() -> None:
        hearer = Channel(
            cast("ChannelTable", FakeTable()), cast("Link", link), 5, is_ours=False
        )
        hearer.bind(handler)
        for frame in decode_batch(batch):
            hearer.receive(frame, cast("Link", link))

    frames = [Frame(FrameKind.AUDIO, 5, number, FRAME) for number in range(100)]
    batch = encode_batch(frames)
    return {
        "link: frame sent": microseconds(send, pieces=100),
        "link: frame received": microseconds(receive, pieces=100),
    }


def measure_arrivals() -> dict[str, float]:
    """Return what it costs to tell how things arrive on one link (us)."""
    arrivals = ArrivalEstimator()
    for number in range(4000):
        late_s = number % 7 * 0.001
        arrivals.on_stamp(number, number * 50, now=number * 0.005 + late_s)
    return {"link: receipt": microseconds(arrivals.receipt)}


def measure_session() -> dict[str, float]:
    """Return what a caller's frame costs on its way to the model (us)."""
    session = RealtimeSession(
        RealtimeCounters(),
        cast("FirstAudioWatch", None),
        PulseConfig(),
        join=lambda _: None,
    )
    session.on_ws_connected(cast("Any", FakeWebSocket()))
    return {"agent: frame appended": microseconds(lambda: session.append_audio(FRAME))}


def measure_hearing() -> dict[str, float]:
    """Return what it costs to know whether the caller is heard, for a frame (us)."""
    voice, hearing = CallerVoice(), Hearing(TurnDetection())

    def listen() -> None:
        now = monotonic_s()
        hearing.listen(FRAME, voice.voiced_ms, in_doubt=False, heard_at=0.0, now=now)

    hearing.observe(Line.VOICE)
    listened = microseconds(listen)
    hearing.observe(Line.QUIET)
    return {
        "agent: frame listened to": listened,
        "agent: frame judged": microseconds(listen),
    }


def measure_pool() -> dict[str, float]:
    """Return what an event costs in a pool of which many sessions are in calls (us)."""
    rng = random.Random(1)  # noqa: S311 - no secret
    pool = SessionPool(
        config=PoolConfig(floor=20, max_concurrent_opens=1000),
        capacity=Capacity(1000),
        limiter=OpenLimiter(opens_per_s=1e6, rng=rng, now=0.0),
        rng=rng,
        now=0.0,
    )

    def perform(actions: tuple[PoolAction, ...], now: float) -> None:
        for action in actions:
            match action:
                case OpenSession(session):
                    perform(pool.handle(SessionOpened(session, 1e9), now=now), now)
                case ProveSession(session):
                    perform(pool.handle(ProofGiven(session), now=now), now)
                case _:
                    pass

    for number in range(CALLS):
        now, lease = float(number), str(number)
        perform(pool.expire(now=now), now)
        perform(pool.handle(LeaseRequested(lease, cold=True), now=now), now)
        perform(pool.handle(LeaseRedeemed(lease), now=now), now)
    last = max(report.number for report in pool.reports(now=CALLS))

    def event() -> None:
        pool.handle(ProofGiven(last), now=CALLS)
        pool.next_deadline()

    return {f"agent: pool event, {CALLS} calls": microseconds(event, pieces=50) * 50}


async def measure() -> dict[str, float]:
    """Return every cost (us)."""
    return {
        **measure_media_stream(),
        **measure_channel(),
        **measure_arrivals(),
        **measure_session(),
        **measure_hearing(),
        **measure_pool(),
    }


def measure_tree(tree: Path) -> dict[str, float]:
    """Return every cost (us) with the packages in *tree*."""
    done = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, __file__, "--json"],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(tree)},
    )
    costs: dict[str, float] = json.loads(done.stdout)
    return costs


def measure_trees(trees: list[Path]) -> list[dict[str, float]]:
    """Return the least cost (us) in each tree, of some rounds in turns."""
    rounds = [[measure_tree(tree) for tree in trees] for _ in range(ROUNDS)]
    return [
        {name: min(costs[name] for costs in tree) for name in tree[0]}
        for tree in zip(*rounds, strict=True)
    ]


def main() -> None:
    """Print each cost, beside that of another tree if one is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, help="another working tree")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.json:
        print(json.dumps(asyncio.run(measure())))
        return
    here = Path(__file__).resolve().parent.parent
    before, after = measure_trees([args.against or here, here])
    for name, cost in after.items():
        ratio = f"{before[name]:8.2f} before {cost / before[name]:6.2f}x"
        print(f"{name:32}{cost:8.2f} us {ratio if args.against else ''}".rstrip())


if __name__ == "__main__":
    main()
