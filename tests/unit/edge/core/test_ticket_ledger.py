from edge.core.ticket_ledger import TicketLedger


def test_a_ticket_is_remembered_until_it_expires() -> None:
    ledger = TicketLedger(max_tickets=2)
    ledger.add(b"one", expires_at=30.0)
    assert b"one" in ledger
    assert ledger.has_room(now=29.9)
    assert b"one" in ledger
    assert ledger.has_room(now=30.0)
    assert b"one" not in ledger
    assert len(ledger) == 0


def test_a_full_ledger_has_no_room_until_something_expires() -> None:
    ledger = TicketLedger(max_tickets=2)
    ledger.add(b"late", expires_at=40.0)
    ledger.add(b"soon", expires_at=20.0)
    assert not ledger.has_room(now=10.0)
    assert ledger.has_room(now=20.0)
    assert b"late" in ledger
