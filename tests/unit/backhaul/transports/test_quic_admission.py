"""Who may begin a handshake, who must prove its address first, and who may not."""

import pytest
from aioquic._buffer import Buffer
from aioquic.quic.packet import QuicHeader, QuicPacketType, pull_quic_header

from backhaul.transports.quic_admission import (
    IDENTIFIER_BYTES,
    MAX_HANDSHAKES,
    MAX_HANDSHAKES_OF_HOST,
    MAX_STRANGERS,
    MAX_UNPROVEN,
    Admission,
    Admitted,
    QuicCounters,
)

ADDRESS = ("192.0.2.1", 4433)
FIRST = b"original"
VERSION = 1


def initial(
    destination: bytes = FIRST,
    token: bytes = b"",
    kind: QuicPacketType = QuicPacketType.INITIAL,
    version: int = VERSION,
) -> QuicHeader:
    return QuicHeader(
        version=version,
        packet_type=kind,
        packet_length=1200,
        destination_cid=destination,
        source_cid=b"theirs",
        token=token,
        integrity_tag=b"",
        supported_versions=[],
    )


@pytest.fixture
def admission() -> Admission:
    return Admission([VERSION])


def retried(admission: Admission, *, now: float = 0.0) -> QuicHeader:
    """Return the packet that a client sends when it was asked for proof."""
    answer = admission.judge(initial(), ADDRESS, now=now)
    assert isinstance(answer, bytes)
    asked = pull_quic_header(Buffer(data=answer))
    assert asked.packet_type is QuicPacketType.RETRY
    assert asked.destination_cid == b"theirs"
    return initial(asked.source_cid, asked.token)


def test_a_stranger_proves_its_address_and_is_admitted(admission: Admission) -> None:
    again = retried(admission)
    verdict = admission.judge(again, ADDRESS, now=1.0)
    assert verdict == Admitted(FIRST, again.destination_cid)
    assert admission.counters == QuicCounters(retries_sent=1)
    assert admission.handshakes == 0


def test_where_somebody_has_authenticated_from_no_proof_is_wanted(
    admission: Admission,
) -> None:
    admission.authenticated(ADDRESS[0])
    assert admission.judge(initial(), ADDRESS, now=0.0) == Admitted(FIRST, None)
    for _ in range(MAX_UNPROVEN):
        admission.begun("192.0.2.9")
    assert isinstance(admission.judge(initial(), ADDRESS, now=0.0), bytes)
    admission.ended("192.0.2.9")
    assert admission.judge(initial(), ADDRESS, now=0.0) == Admitted(FIRST, None)


def test_the_hosts_that_are_known_are_a_bounded_number(admission: Admission) -> None:
    admission.authenticated(ADDRESS[0])
    for number in range(4096):
        admission.authenticated(f"host-{number}")
    assert isinstance(admission.judge(initial(), ADDRESS, now=0.0), bytes)


def test_a_proof_serves_its_time_and_its_address_alone(admission: Admission) -> None:
    again = retried(admission, now=100.0)
    assert isinstance(admission.judge(again, ADDRESS, now=129.9), Admitted)
    assert admission.judge(again, ADDRESS, now=130.1) is None
    assert admission.judge(again, ("192.0.2.2", 4433), now=101.0) is None
    assert admission.judge(again, ("192.0.2.1", 4434), now=101.0) is None
    other = initial(b"another!", again.token)
    assert admission.judge(other, ADDRESS, now=101.0) is None
    assert admission.counters == QuicCounters(retries_sent=1, tokens_refused=4)


def test_a_proof_that_another_has_made_is_none(admission: Admission) -> None:
    again = retried(Admission([VERSION]))
    assert admission.judge(again, ADDRESS, now=0.0) is None
    for token in (b"x", bytes(11), bytes(12), bytes(200)):
        assert admission.judge(initial(FIRST, token), ADDRESS, now=0.0) is None
    assert admission.counters.tokens_refused == 5


@pytest.mark.parametrize("length", range(IDENTIFIER_BYTES))
def test_a_first_identifier_is_long_enough(admission: Admission, length: int) -> None:
    assert admission.judge(initial(bytes(length)), ADDRESS, now=0.0) is None
    assert admission.counters == QuicCounters()


@pytest.mark.parametrize(
    "kind", [QuicPacketType.HANDSHAKE, QuicPacketType.ZERO_RTT, QuicPacketType.RETRY]
)
def test_only_an_initial_packet_begins_anything(
    admission: Admission, kind: QuicPacketType
) -> None:
    assert admission.judge(initial(kind=kind), ADDRESS, now=0.0) is None


def test_other_versions_are_told_ours_but_not_in_answer_to_the_same(
    admission: Admission,
) -> None:
    answer = admission.judge(initial(version=9), ADDRESS, now=0.0)
    assert isinstance(answer, bytes)
    assert pull_quic_header(Buffer(data=answer)).supported_versions == [VERSION]
    never = initial(kind=QuicPacketType.VERSION_NEGOTIATION, version=0)
    assert admission.judge(never, ADDRESS, now=0.0) is None
    assert admission.counters == QuicCounters(versions_refused=1)


def test_edges_that_were_here_get_in_where_strangers_do_not(
    admission: Admission,
) -> None:
    again = retried(admission)
    for number in range(MAX_STRANGERS):
        admission.begun(f"host-{number}")
    assert admission.judge(again, ADDRESS, now=0.0) is None
    assert admission.judge(initial(), ADDRESS, now=0.0) is None
    assert admission.counters.handshakes_refused == 2
    admission.authenticated(ADDRESS[0])
    assert isinstance(admission.judge(again, ADDRESS, now=0.0), Admitted)
    for number in range(MAX_STRANGERS, MAX_HANDSHAKES):
        admission.begun(f"host-{number}")
    assert admission.handshakes == MAX_HANDSHAKES
    assert admission.judge(again, ADDRESS, now=0.0) is None


def test_one_host_has_a_part_of_all_handshakes(admission: Admission) -> None:
    again = retried(admission)
    for _ in range(MAX_HANDSHAKES_OF_HOST):
        admission.begun(ADDRESS[0])
    assert admission.judge(again, ADDRESS, now=0.0) is None
    admission.ended(ADDRESS[0])
    assert isinstance(admission.judge(again, ADDRESS, now=0.0), Admitted)


def test_nothing_is_kept_of_hosts_whose_handshakes_are_over(
    admission: Admission,
) -> None:
    admission.begun("192.0.2.9")
    admission.ended("192.0.2.9")
    retried(admission)
    assert not admission._under_way
    assert not admission._known
