"""Where a turn ends in the caller's audio of the whole call."""

from region_agent.core.caller_position import CallerPosition


def hear(caller: CallerPosition, frames: int, *, appended: bool = True) -> None:
    for _ in range(frames):
        caller.received(160, missing_frames=0, appended=appended)


def silent_until(caller: CallerPosition, now: float) -> int:
    """Look at *now* (s), when the session has just said something."""
    return caller.silent_until(now=now, heard_at=now)


def test_a_turn_ends_where_the_server_says() -> None:
    caller = CallerPosition(8000)
    hear(caller, 50)
    caller.turn_stopped(600)
    assert caller.turn_end == 8000 + 4800
    hear(caller, 50)
    assert caller.turn_end == 8000 + 4800


def test_a_turn_whose_end_nobody_told_ends_now() -> None:
    caller = CallerPosition(8000)
    hear(caller, 50)
    assert caller.turn_end == 16_000
    caller.turn_stopped(600)
    caller.turn_stopped(None)
    assert caller.turn_end == 16_000


def test_what_went_astray_and_what_was_not_appended_counts() -> None:
    caller = CallerPosition(0)
    caller.received(160, missing_frames=0, appended=True)
    caller.received(160, missing_frames=3, appended=True)
    assert caller.turn_end == 5 * 160
    hear(caller, 2, appended=False)
    caller.turn_stopped(40)
    # Of the frames that the session has, both belong to the turn.
    assert caller.turn_end == 4 * 160


def test_silence_is_known_when_no_turn_has_begun_for_a_while() -> None:
    caller = CallerPosition(800)
    assert silent_until(caller, 1.0) == 0
    hear(caller, 10)
    assert silent_until(caller, 3.9) == 0
    assert silent_until(caller, 4.0) == 800
    hear(caller, 10)
    assert silent_until(caller, 6.9) == 0
    assert silent_until(caller, 7.0) == 2400


def test_a_session_that_says_nothing_is_no_witness_of_silence() -> None:
    caller = CallerPosition(0)
    hear(caller, 10)
    assert caller.silent_until(now=1.0, heard_at=0.9) == 0
    hear(caller, 10)
    assert caller.silent_until(now=9.0, heard_at=3.9) == 0
    hear(caller, 10)
    assert caller.silent_until(now=13.0, heard_at=4.0) == 1600


def test_silence_is_looked_for_every_three_seconds() -> None:
    caller = CallerPosition(0)
    due = []
    for number in range(400):  # 20 ms each
        if caller.received(160, missing_frames=0, appended=True):
            silent_until(caller, number / 50)
            due.append(number)
    assert due == [0, 160, 320]


def test_what_may_be_a_turn_is_no_silence_until_it_is_committed() -> None:
    caller = CallerPosition(0)
    hear(caller, 10)
    silent_until(caller, 0.0)
    caller.turn_began()
    assert silent_until(caller, 9.0) == 0
    caller.turn_committed()
    assert silent_until(caller, 10.0) == 1600
    hear(caller, 1, appended=False)
    assert silent_until(caller, 20.0) == 0


def test_no_turn_ends_before_the_beginning_or_in_the_future() -> None:
    caller = CallerPosition(800)
    hear(caller, 1)
    caller.turn_stopped(-1e6)
    assert caller.turn_end == 800
    caller.turn_stopped(1e6)
    assert caller.turn_end == 960


def test_a_new_channel_counts_anew_what_is_missing() -> None:
    caller = CallerPosition(1000)
    caller.received(160, missing_frames=2, appended=True)
    caller.renew()
    assert caller.now == 1480
    caller.received(160, missing_frames=1, appended=True)
    assert caller.now == 1000 + 5 * 160
