"""A snapshot has bounds, whatever the registry holds."""

from backhaul.core.frames import MAX_PAYLOAD_BYTES
from backhaul.core.messages import Member, Members, encode_message
from region_agent.core.members import MAX_MEMBERS, fitting


def many(count: int, profiles: int = 1) -> list[Member]:
    warm = {f"profile-{n:03}": 1000 for n in range(profiles)}
    return [Member(f"10.0.0.1:{n}", f"home-{n}", warm, n) for n in range(count)]


def test_a_region_of_ordinary_size_fits_whole() -> None:
    assert fitting(many(0)) == ()
    assert fitting(many(MAX_MEMBERS)) == tuple(many(MAX_MEMBERS))


def test_no_more_agents_than_edges_read() -> None:
    assert fitting(many(MAX_MEMBERS + 10)) == tuple(many(MAX_MEMBERS))


def test_no_more_bytes_than_a_frame_holds() -> None:
    members = many(MAX_MEMBERS, profiles=100)
    whole = len(encode_message(Members(tuple(members))))
    kept = fitting(members)
    assert whole > MAX_PAYLOAD_BYTES
    assert 0 < len(kept) < MAX_MEMBERS
    size = len(encode_message(Members(kept)))
    assert size <= MAX_PAYLOAD_BYTES < size + 2 * whole // MAX_MEMBERS
