"""What becomes of packets on one direction of an emulated path."""

import random

import pytest

from lab.path_rules import Conditions, Drop, OneWay, changed, protocol_of

TCP, UDP, ICMP = 6, 17, 1


def way(seed: int = 1, **fields: float) -> OneWay:
    return OneWay(changed(Conditions(), fields), random.Random(seed))


def test_a_packet_arrives_after_the_delay() -> None:
    assert way(delay_ms=40).send(100, UDP, now=10.0) == pytest.approx(10.04)


def test_a_shorter_delay_does_not_let_a_packet_overtake() -> None:
    line = way(delay_ms=40)
    first = line.send(100, UDP, now=10.0)
    line.conditions = Conditions(delay_ms=1)
    assert line.send(100, UDP, now=10.001) == first
    assert line.send(100, UDP, now=10.1) == pytest.approx(10.101)


def test_jitter_comes_on_top_of_the_delay() -> None:
    line = way(delay_ms=40, jitter_ms=10)
    added = []
    for number in range(1000):
        arrival = line.send(100, UDP, now=float(number))
        assert isinstance(arrival, float)
        added.append(arrival - number - 0.04)
    assert min(added) >= 0
    assert max(added) <= 0.010001
    assert sum(added) / len(added) == pytest.approx(0.005, rel=0.1)


@pytest.mark.parametrize(
    ("blocked", "lost", "carried"),
    [("block_udp", UDP, (TCP, ICMP)), ("block_tcp", TCP, (UDP, ICMP))],
)
def test_one_protocol_can_be_blocked(
    blocked: str, lost: int, carried: tuple[int, ...]
) -> None:
    line = way(**{blocked: True})
    assert line.send(100, lost, now=1.0) is Drop.BLOCKED
    for protocol in carried:
        assert line.send(100, protocol, now=1.0) == 1.0


def test_everything_can_be_lost_and_nothing() -> None:
    for burst in (1, 3):
        nothing, everything = way(burst=burst), way(burst=burst, loss=1)
        for number in range(100):
            assert nothing.send(100, UDP, now=float(number)) == float(number)
            assert everything.send(100, UDP, now=float(number)) is Drop.LOST


@pytest.mark.parametrize("burst", [1, 3, 10])
def test_the_share_asked_for_is_lost_however_long_the_bursts(burst: int) -> None:
    line = way(loss=0.03, burst=burst)
    fates = [line.send(100, UDP, now=0.0) for _ in range(200_000)]
    assert fates.count(Drop.LOST) / len(fates) == pytest.approx(0.03, rel=0.1)


def test_a_burst_loses_that_many_packets_one_after_another() -> None:
    line = way(loss=0.01, burst=3)
    fates = [line.send(100, UDP, now=0.0) is Drop.LOST for _ in range(20_000)]
    runs = "".join("x" if lost else "." for lost in fates).rstrip("x").split(".")
    lengths = {len(run) for run in runs if run}
    assert 3 in lengths
    assert all(length % 3 == 0 for length in lengths)


def test_the_slowest_hop_sends_one_packet_after_another() -> None:
    line = way(delay_ms=10, rate_bits_per_s=80_000)  # 10 bytes a millisecond
    arrivals = [line.send(100, UDP, now=1.0) for _ in range(3)]
    assert arrivals == pytest.approx([1.020, 1.030, 1.040])
    assert line.send(100, UDP, now=2.0) == pytest.approx(2.020)


def test_what_does_not_fit_into_the_queue_is_dropped() -> None:
    line = way(rate_bits_per_s=80_000, queue_bytes=1600)
    fates = [line.send(500, UDP, now=1.0) for _ in range(4)]
    assert fates[:3] == pytest.approx([1.05, 1.10, 1.15])
    assert fates[3] is Drop.QUEUE_FULL
    assert line.send(500, UDP, now=1.05) == pytest.approx(1.20)


def test_a_queue_is_gone_with_its_rate() -> None:
    line = way(rate_bits_per_s=8_000)
    line.send(1000, UDP, now=1.0)
    line.conditions = Conditions()
    assert line.send(100, UDP, now=2.0) == 2.0
    line.conditions = Conditions(rate_bits_per_s=8_000)
    assert line.send(100, UDP, now=2.0) == pytest.approx(2.1)


def test_the_same_seed_loses_the_same_packets() -> None:
    def losses(seed: int) -> list[bool]:
        line = way(seed, loss=0.2)
        return [line.send(100, UDP, now=0.0) is Drop.LOST for _ in range(200)]

    assert losses(1) == losses(1)
    assert losses(1) != losses(2)


def test_only_the_fields_named_change() -> None:
    before = Conditions(delay_ms=40, loss=0.01)
    assert changed(before, {"loss": 0.5}) == Conditions(delay_ms=40, loss=0.5)


@pytest.mark.parametrize(
    "changes", [{"loss": 1.5}, {"delay_ms": -1}, {"burst": 0}, {"colour": 1}]
)
def test_conditions_that_make_no_sense_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"Expected|unknown field"):
        changed(Conditions(), changes)


@pytest.mark.parametrize(
    ("packet", "protocol"),
    [
        (bytes([0x45, *[0] * 8, UDP, *[0] * 10]), UDP),
        (bytes([0x60, *[0] * 5, TCP, *[0] * 33]), TCP),
        (bytes([0x45, *[0] * 8, UDP]), -1),
        (bytes([0x60, *[0] * 5, TCP, *[0] * 10]), -1),
        (b"", -1),
        (bytes(60), -1),
    ],
)
def test_the_protocol_is_read_from_the_header(packet: bytes, protocol: int) -> None:
    assert protocol_of(packet) == protocol
