"""Properties of an emulated path, whatever is sent and however conditions change."""

import random

from hypothesis import given
from hypothesis import strategies as st

from lab.path_rules import Conditions, Drop, OneWay, protocol_of

conditions = st.builds(
    Conditions,
    delay_ms=st.floats(0, 500),
    jitter_ms=st.floats(0, 100),
    loss=st.floats(0, 1),
    burst=st.integers(1, 5),
    rate_bits_per_s=st.none() | st.floats(1e4, 1e8),
    queue_bytes=st.integers(1500, 100_000),
    block_udp=st.booleans(),
    block_tcp=st.booleans(),
)
packets = st.tuples(
    st.floats(0, 0.1), st.integers(20, 1500), st.sampled_from([1, 6, 17])
)
steps = st.lists(conditions | packets, max_size=60)


def play(first: Conditions, script: list[Conditions | tuple[float, int, int]]) -> None:
    way, now, last = OneWay(first, random.Random(0)), 0.0, 0.0
    for step in script:
        if isinstance(step, Conditions):
            way.conditions = step
            continue
        pause_s, size_bytes, protocol = step
        now += pause_s
        fate = way.send(size_bytes, protocol, now=now)
        if isinstance(fate, Drop):
            check_reason(fate, way.conditions, protocol)
            continue
        assert fate >= last, "overtaken"
        assert fate >= now + way.conditions.delay_ms / 1000 - 1e-9, "too early"
        check_room(fate, last, now, way.conditions)
        last = fate


def check_reason(fate: Drop, now_in_force: Conditions, protocol: int) -> None:
    blocked = {6: now_in_force.block_tcp, 17: now_in_force.block_udp}
    if fate is Drop.BLOCKED:
        assert blocked[protocol]
    elif fate is Drop.QUEUE_FULL:
        assert now_in_force.rate_bits_per_s is not None
    else:
        assert not blocked.get(protocol, False)


def check_room(fate: float, last: float, now: float, in_force: Conditions) -> None:
    longest_s = (in_force.delay_ms + in_force.jitter_ms) / 1000
    if in_force.rate_bits_per_s is not None:
        longest_s += in_force.queue_bytes * 8 / in_force.rate_bits_per_s
    assert fate <= max(last, now + longest_s + 1e-6), "later than queue and delay"


@given(first=conditions, script=steps)
def test_packets_keep_their_order_and_their_delay(
    first: Conditions, script: list[Conditions | tuple[float, int, int]]
) -> None:
    play(first, script)


@given(loss=st.floats(0.01, 0.5), burst=st.integers(1, 5), seed=st.integers())
def test_the_long_run_loses_the_share_asked_for(
    loss: float, burst: int, seed: int
) -> None:
    way = OneWay(Conditions(loss=loss, burst=burst), random.Random(seed))
    count = 20_000
    lost = sum(way.send(100, 17, now=0.0) is Drop.LOST for _ in range(count))
    deviation = (loss * count * burst) ** 0.5
    assert abs(lost - loss * count) < 6 * deviation + burst


@given(packet=st.binary(max_size=100))
def test_any_bytes_have_a_protocol_or_none(packet: bytes) -> None:
    assert -1 <= protocol_of(packet) <= 255
