import hashlib

from lab.realtime_record import Ledger, Tape


def test_a_tape_hashes_all_and_keeps_the_beginning() -> None:
    tape = Tape(5)
    tape.add(b"abc")
    tape.add(b"defg")
    digest = hashlib.sha256(b"abcdefg").hexdigest()
    assert tape.wire() == {"bytes": 7, "sha256": digest}
    assert tape.kept == b"abcde"


def test_a_ledger_forgets_the_oldest_closed_sessions() -> None:
    ledger = Ledger(max_sessions=2)
    records = [ledger.open(f"sess_{n}", "m", now=n) for n in range(4)]
    ledger.close(records[1], 1000, now=9.0)
    ledger.close(records[2], 1000, now=9.0)
    assert [record.session_id for record in ledger.sessions()] == ["sess_0", "sess_3"]
    assert ledger.peak_open == 4


def test_a_ledger_erases_old_audio_but_not_its_hash() -> None:
    ledger = Ledger(max_total_bytes=10)
    old, new = ledger.open("old", "m", now=0.0), ledger.open("new", "m", now=0.0)
    old.heard.add(b"x" * 8)
    new.heard.add(b"y" * 8)
    ledger.close(old, 1000, now=1.0)
    assert not old.heard.kept
    assert old.heard.wire()["bytes"] == 8
    assert new.heard.kept == b"y" * 8
