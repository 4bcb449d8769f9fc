"""What was sent and has not arrived can be sent again, in order, within bounds."""

from backhaul.core.frames import Frame, FrameKind
from backhaul.core.send_log import MAX_LOG_BYTES, SendLog

AUDIO, CONTROL = FrameKind.AUDIO, FrameKind.CONTROL


def test_numbers_count_by_kind() -> None:
    log = SendLog(7)
    kinds = (CONTROL, AUDIO, AUDIO, CONTROL, AUDIO)
    assert [log.append(kind, b"").sequence for kind in kinds] == [0, 0, 1, 1, 2]
    assert log.next_audio == 3


def test_what_is_not_acknowledged_comes_back_in_the_order_it_was_sent() -> None:
    log = SendLog(7)
    for number, kind in enumerate((CONTROL, AUDIO, CONTROL, AUDIO, AUDIO)):
        log.append(kind, bytes([number]))
    # A late message keeps its place, and holds nothing back that arrived behind it.
    log.acknowledge(control=1, audio=2)
    assert log.unacknowledged() == [
        Frame(CONTROL, 7, 1, b"\x02"),
        Frame(AUDIO, 7, 2, b"\x04"),
    ]
    log.acknowledge(control=2, audio=3)
    assert log.unacknowledged() == []
    assert len(log) == 0


def test_an_old_acknowledgement_changes_nothing() -> None:
    log = SendLog(7)
    for _ in range(3):
        log.append(AUDIO, b"speech")
    log.acknowledge(control=0, audio=2)
    log.acknowledge(control=0, audio=1)
    assert [frame.sequence for frame in log.unacknowledged()] == [2]


def test_it_stays_within_its_bounds() -> None:
    log = SendLog(7)
    for _ in range(3):
        log.append(AUDIO, bytes(MAX_LOG_BYTES // 2 - 64))
    assert log.forgotten == 1
    assert [frame.sequence for frame in log.unacknowledged()] == [1, 2]
    for _ in range(MAX_LOG_BYTES // 32):
        log.append(CONTROL, b"")
    assert len(log) <= MAX_LOG_BYTES // 64
