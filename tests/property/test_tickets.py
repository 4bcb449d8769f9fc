"""Whatever arrives in a stream's URL, a ticket is what was sealed or is refused."""

from base64 import urlsafe_b64encode

from hypothesis import given
from hypothesis import strategies as st

from edge.core.caller_place import PlaceSource
from edge.core.ticket_ledger import TicketLedger
from edge.tickets import Ticket, TicketRefusal, Tickets

NOW = 1_790_000_000.0
TOKEN = "0123456789abcdef" * 2

short = st.text(max_size=12)
made = st.builds(
    Ticket,
    call_sid=short,
    profile=short,
    lease_id=short,
    instance=short,
    warm=st.booleans(),
    epoch=st.integers(1, 2**31),
    caller=short,
    called=short,
    over_sip=st.booleans(),
    traceparent=short,
    answered_by=short,
    leased_s=st.floats(0, 10),
    answered_unix_s=st.floats(0, NOW),
    expires_unix_s=st.floats(NOW + 0.001, NOW + 30),
    place_source=st.sampled_from(PlaceSource),
    place_confidence=st.floats(0, 1),
    country=short,
    state=short,
)


@given(made, st.text(min_size=1, max_size=20))
def test_what_is_sealed_is_what_is_read(ticket: Ticket, edge: str) -> None:
    sealing = Tickets((TOKEN,), edge="other")
    text = sealing.seal(ticket, edge=edge)
    if text is not None:
        assert Tickets((TOKEN,), edge=edge).redeem(text, now=NOW) == ticket


@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]{1,480}", fullmatch=True))
def test_noise_is_refused(text: str) -> None:
    refused = Tickets((TOKEN,), edge="b").redeem(text, now=NOW)
    assert refused in {TicketRefusal.MALFORMED, TicketRefusal.FORGED}


@given(st.binary(max_size=300))
def test_sealed_noise_is_refused_or_a_ticket_of_the_right_types(noise: bytes) -> None:
    tickets = Tickets((TOKEN,), edge="b")
    nonce = bytes(12)
    sealed = nonce + tickets._ciphers[0].encrypt(nonce, noise, b"b")
    text = urlsafe_b64encode(sealed).rstrip(b"=").decode()
    assert isinstance(tickets.redeem(text, now=NOW), Ticket | TicketRefusal)


@given(
    st.lists(st.tuples(st.integers(0, 30), st.floats(0.1, 30), st.floats(0, 5))),
    st.integers(1, 8),
)
def test_no_ticket_is_taken_twice_and_memory_is_bounded(
    steps: list[tuple[int, float, float]], room: int
) -> None:
    ledger, now = TicketLedger(max_tickets=room), 0.0
    taken: dict[bytes, float] = {}
    for name, life_s, pause_s in steps:
        now += pause_s
        ticket = bytes([name])
        alive = taken.get(ticket, 0.0) > now
        has_room = ledger.has_room(now=now)
        assert has_room == (sum(at > now for at in taken.values()) < room)
        assert (ticket in ledger) == alive
        if has_room and not alive:
            taken[ticket] = now + life_s
            ledger.add(ticket, expires_at=now + life_s)
        assert len(ledger) <= room
        assert len(ledger._by_expiry) <= room
