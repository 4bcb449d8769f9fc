from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import msgspec
import pytest

from edge import tickets as module
from edge.core.caller_place import CallerPlace, PlaceSource
from edge.tickets import MAX_TICKET_CHARS, Ticket, TicketRefusal, Tickets

NEW, OLD = "1" * 32, "0" * 32
NOW = 1_790_000_000.0


def ticket(**changes: Any) -> Ticket:
    values: dict[str, Any] = {
        "call_sid": "CA" + "7" * 32,
        "profile": "front-desk",
        "lease_id": "edge-frankfurt-4711",
        "instance": "0123456789abcdef",
        "warm": True,
        "epoch": 1,
        "caller": "+14155550123",
        "called": "+14155550100",
        "over_sip": False,
        "traceparent": f"00-{1:032x}-{2:016x}-01",
        "answered_by": "edge-frankfurt",
        "answered_unix_s": NOW,
        "leased_s": 0.012,
        "expires_unix_s": NOW + 30,
        "place_source": PlaceSource.NUMBER,
        "place_confidence": 0.6,
        "country": "US",
        "state": "US-CA",
    }
    return Ticket(**(values | changes))


def pair(ours: tuple[str, ...] = (NEW,), theirs: tuple[str, ...] = (NEW,)) -> Any:
    return Tickets(ours, edge="a"), Tickets(theirs, edge="b")


def sealed(one: Tickets, given: Ticket | None = None) -> str:
    text = one.seal(given or ticket(), edge="b")
    assert text is not None
    return text


def test_what_one_edge_seals_the_other_reads() -> None:
    ours, theirs = pair()
    assert theirs.redeem(sealed(ours), now=NOW) == ticket()


def test_a_ticket_fits_into_a_stream_url_and_a_parameter() -> None:
    ours, _ = pair()
    text = sealed(ours)
    assert len(text) < 420
    assert text.replace("-", "").replace("_", "").isalnum()
    assert MAX_TICKET_CHARS + len("ticket") < 500


def test_a_ticket_that_would_be_too_long_is_not_made() -> None:
    ours, _ = pair()
    assert ours.seal(ticket(caller="sip:" + "a" * 300), edge="b") is None


def test_the_place_travels_without_its_point() -> None:
    place = ticket().place
    assert place == CallerPlace(PlaceSource.NUMBER, 0.6, None, "US", "US-CA")


def test_nothing_of_it_can_be_read() -> None:
    ours, _ = pair()
    plain = urlsafe_b64decode(sealed(ours) + "==")
    assert b"4155550123" not in plain
    assert b"front-desk" not in plain
    assert "4155550123" not in repr(ticket())


def test_no_two_tickets_are_alike() -> None:
    ours, _ = pair()
    assert len({sealed(ours) for _ in range(100)}) == 100


def test_a_ticket_admits_once() -> None:
    ours, theirs = pair()
    text = sealed(ours)
    assert isinstance(theirs.redeem(text, now=NOW), Ticket)
    assert theirs.redeem(text, now=NOW) is TicketRefusal.USED
    assert theirs.redeem(text, now=NOW + 29.9) is TicketRefusal.USED
    assert theirs.redeem(text, now=NOW + 30) is TicketRefusal.EXPIRED


def test_base64_that_is_written_otherwise_is_the_same_ticket() -> None:
    ours, theirs = pair()
    text = next(
        text for text in (sealed(ours) for _ in range(100)) if len(text) % 4 in {2, 3}
    )
    assert isinstance(theirs.redeem(text, now=NOW), Ticket)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet[alphabet.index(text[-1]) ^ 1]
    assert theirs.redeem(text[:-1] + last, now=NOW) is TicketRefusal.USED


def test_a_ticket_is_for_one_edge() -> None:
    ours, _ = pair()
    third = Tickets((NEW,), edge="c")
    assert third.redeem(sealed(ours), now=NOW) is TicketRefusal.FORGED


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ((NEW, OLD), (OLD,)),
        ((OLD,), (NEW,)),
    ],
)
def test_an_edge_without_the_token_reads_nothing(
    ours: tuple[str, ...], theirs: tuple[str, ...]
) -> None:
    one, other = pair(ours, theirs)
    assert other.redeem(sealed(one), now=NOW) is TicketRefusal.FORGED


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ((NEW, OLD), (OLD, NEW)),
        ((OLD,), (NEW, OLD)),
        ((NEW,), (OLD, NEW)),
    ],
)
def test_while_a_token_is_rotated_edges_read_each_others_tickets(
    ours: tuple[str, ...], theirs: tuple[str, ...]
) -> None:
    one, other = pair(ours, theirs)
    assert other.redeem(sealed(one), now=NOW) == ticket()


@pytest.mark.parametrize(
    ("life_s", "outcome"),
    [
        (0.0, TicketRefusal.EXPIRED),
        (-1.0, TicketRefusal.EXPIRED),
        (float("nan"), TicketRefusal.EXPIRED),
        (35.1, TicketRefusal.CLOCKS_DIFFER),
        (float("inf"), TicketRefusal.CLOCKS_DIFFER),
    ],
)
def test_a_ticket_lives_half_a_minute_at_most(
    life_s: float, outcome: TicketRefusal
) -> None:
    ours, theirs = pair()
    text = sealed(ours, ticket(expires_unix_s=NOW + life_s))
    assert theirs.redeem(text, now=NOW) is outcome


def test_clocks_may_differ_a_little() -> None:
    ours, theirs = pair()
    text = sealed(ours, ticket(expires_unix_s=NOW + 34))
    assert isinstance(theirs.redeem(text, now=NOW), Ticket)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "A" * 15,
        "A" * 16,
        "=" * 40,
        "A" * 17 + "\n",
        "a/b+" * 10,
        "é" * 40,
        "A" * (MAX_TICKET_CHARS + 1),
        "A" * 41,
    ],
)
def test_what_is_no_ticket_is_malformed(text: str) -> None:
    _, theirs = pair()
    assert theirs.redeem(text, now=NOW) is TicketRefusal.MALFORMED


def test_noise_of_the_right_form_is_forged() -> None:
    _, theirs = pair()
    for length in (20, 40, 200, MAX_TICKET_CHARS):
        assert theirs.redeem("A" * length, now=NOW) is TicketRefusal.FORGED


def test_one_changed_bit_anywhere_is_a_forgery() -> None:
    ours, theirs = pair()
    text = sealed(ours)
    raw = bytearray(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    for position in range(len(raw)):
        raw[position] ^= 1
        forged = urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()
        assert theirs.redeem(forged, now=NOW) is TicketRefusal.FORGED
        raw[position] ^= 1


@pytest.mark.parametrize(
    "content",
    [b"", b"\x93\x01\x02\x03", b"\xff" * 40, msgspec.msgpack.encode({"a": 1})],
)
def test_a_sealed_ticket_of_another_format_is_malformed(content: bytes) -> None:
    ours, theirs = pair()
    nonce = bytes(12)
    text = urlsafe_b64encode(nonce + ours._ciphers[0].encrypt(nonce, content, b"b"))
    found = theirs.redeem(text.rstrip(b"=").decode(), now=NOW)
    assert found is TicketRefusal.MALFORMED


def test_with_too_many_tickets_under_way_the_next_is_refused() -> None:
    ours, theirs = pair()
    theirs._used._max_tickets = 1
    assert isinstance(theirs.redeem(sealed(ours), now=NOW), Ticket)
    assert theirs.redeem(sealed(ours), now=NOW) is TicketRefusal.CROWDED
    later = ticket(expires_unix_s=NOW + 60)
    assert isinstance(theirs.redeem(sealed(ours, later), now=NOW + 30), Ticket)
    assert len(theirs._used) == 1


def test_keys_are_not_the_auth_tokens() -> None:
    key = module._key_from(NEW)
    assert len(key) == 32
    assert NEW.encode() not in key
    assert key != module._key_from(OLD)
