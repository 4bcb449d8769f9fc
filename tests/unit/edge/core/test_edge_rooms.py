from edge.core.edge_rooms import EdgeRooms


def test_an_edge_is_full_while_anyone_says_so() -> None:
    rooms = EdgeRooms()
    assert rooms.full([{"there": 1}, {"there": 0}, {}], now=0.0) == {"there"}
    assert rooms.full([{"there": 1}, {"there": 2}], now=0.5) == frozenset()
    assert rooms.full([], now=1.0) == frozenset()


def test_what_was_given_and_has_not_arrived_takes_up_room() -> None:
    rooms = EdgeRooms()
    assert rooms.full([{"there": 2}], now=0.0) == frozenset()
    rooms.gave("there", now=0.0)
    rooms.gave("elsewhere", now=0.0)
    assert rooms.full([{"there": 2}], now=0.0) == frozenset()
    rooms.gave("there", now=0.1)
    assert rooms.full([{"there": 2}], now=0.1) == {"there"}
    # One of the two has arrived.
    assert rooms.full([{"there": 1}], now=0.5) == {"there"}
    # The other one too, and three calls have ended.
    assert rooms.full([{"there": 3}], now=1.0) == frozenset()


def test_what_never_arrives_takes_up_room_for_three_seconds() -> None:
    rooms = EdgeRooms()
    rooms.gave("there", now=0.0)
    assert rooms.full([{"there": 1}], now=3.0) == {"there"}
    assert rooms.full([{"there": 1}], now=3.1) == frozenset()


def test_an_edge_of_which_nothing_is_heard_for_a_while_keeps_its_count() -> None:
    rooms = EdgeRooms()
    assert rooms.full([{"there": 1}], now=0.0) == frozenset()
    rooms.gave("there", now=0.1)
    assert rooms.full([], now=0.2) == frozenset()
    assert rooms.full([{"there": 1}], now=0.3) == {"there"}
