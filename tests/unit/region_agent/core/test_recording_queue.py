from region_agent.core.recording_queue import RecordingQueue


def test_gives_what_was_added_in_order() -> None:
    queue = RecordingQueue(max_bytes=10)
    queue.add(b"ab")
    queue.add(b"")
    queue.add(b"cd")
    queue.add_silence(5)
    queue.add_silence(0)
    queue.add_silence(2)
    queue.add(b"ef")
    assert queue.take() == [b"abcd", 7, b"ef"]
    assert queue.take() == []


def test_nothing_at_all_is_nothing_to_write() -> None:
    queue = RecordingQueue(max_bytes=10)
    queue.add(b"")
    queue.add_silence(0)
    assert queue.take() == []


def test_silence_takes_the_place_of_what_finds_it_full() -> None:
    queue = RecordingQueue(max_bytes=4)
    queue.add(b"abc")
    queue.add(b"de")
    queue.add(b"f")
    queue.add(b"gh")
    assert queue.lost_bytes == 4
    assert queue.take() == [b"abc", 2, b"f", 2]


def test_there_is_room_again_once_it_is_emptied() -> None:
    queue = RecordingQueue(max_bytes=2)
    queue.add(b"ab")
    queue.add(b"cd")
    assert queue.take() == [b"ab", 2]
    queue.add(b"ef")
    assert queue.take() == [bytearray(b"ef")]
    assert queue.lost_bytes == 2


def test_silence_takes_no_room() -> None:
    queue = RecordingQueue(max_bytes=2)
    queue.add_silence(1_000_000_000)
    queue.add(b"ab")
    assert queue.take() == [1_000_000_000, b"ab"]
    assert queue.lost_bytes == 0
