"""The playback clock of one call, as scripts with literal times."""

import functools
import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.playout import MARK_EVERY_BYTES, Heard, Playout
from lab.media_player import MediaPlayer

SECOND = 8000


def playing(size: int = SECOND, *, at: float = 10.0) -> Playout:
    playout = Playout()
    playout.sent(size, now=at)
    return playout


def test_the_clock_runs_from_the_first_byte_to_the_last() -> None:
    playout = playing(SECOND)
    reached = [playout.position(now=10.0 + s) for s in (0.0, 0.25, 0.9999, 1.0, 5.0)]
    assert reached == [0, 2000, 7999, 8000, 8000]


def test_audio_behind_audio_is_played_after_it() -> None:
    playout = playing(SECOND)
    playout.sent(SECOND, now=10.1)
    assert playout.position(now=11.5) == 12_000
    assert playout.given == 16_000


def test_audio_behind_silence_starts_when_it_comes() -> None:
    playout = playing(SECOND)
    playout.sent(SECOND, now=15.0)
    assert playout.position(now=15.5) == 12_000


def test_it_says_when_the_last_byte_is_heard() -> None:
    playout = playing(SECOND)
    assert playout.dry_at == 11.0
    playout.sent(SECOND, now=10.5)
    assert playout.dry_at == 12.0
    name = playout.mark()
    assert playout.played == 0
    playout.echoed(name, now=12.2)
    assert (playout.dry_at, playout.played) == (12.2, 2 * SECOND)
    playout.sent(SECOND, now=20.0)
    playout.clear(now=20.25)
    assert playout.dry_at == 20.25


def test_a_mark_corrects_the_clock() -> None:
    playout = playing(SECOND)
    name = playout.mark()
    playout.sent(SECOND, now=10.1)
    assert playout.echoed(name, now=11.2) == SECOND
    assert playout.position(now=11.2) == SECOND
    assert playout.position(now=11.7) == 12_000


def test_a_late_mark_turns_the_clock_back() -> None:
    playout = playing(2 * SECOND)
    name = playout.mark()
    playout.sent(2 * SECOND, now=10.1)
    assert playout.position(now=13.0) == 3 * SECOND
    playout.echoed(name, now=13.0)
    assert playout.position(now=13.0) == 2 * SECOND


def test_everything_is_played_when_the_last_mark_is_back() -> None:
    playout = playing(SECOND)
    assert not playout.drained
    name = playout.mark()
    assert not playout.drained
    playout.echoed(name, now=11.0)
    assert playout.drained
    playout.sent(1, now=12.0)
    assert not playout.drained


def test_a_clear_tells_what_was_heard_and_does_not_turn_positions_back() -> None:
    playout = playing(SECOND)
    assert playout.clear(now=10.25) == Heard(SECOND, 2000)
    assert playout.drained
    assert playout.position(now=11.0) == SECOND
    playout.sent(SECOND, now=12.0)
    assert playout.clear(now=12.5) == Heard(2 * SECOND, 12_000)


def test_a_clear_of_nothing_cuts_nothing() -> None:
    assert not Playout().clear(now=1.0).cut
    assert not playing(SECOND).clear(now=11.0).cut
    assert playing(SECOND).clear(now=10.9).cut


def test_marks_that_a_clear_flushed_prove_nothing() -> None:
    playout = playing(SECOND)
    old = playout.mark()
    playout.clear(now=10.1)
    playout.sent(SECOND, now=10.2)
    new = playout.mark()
    assert playout.echoed(old, now=10.3) is None
    assert playout.position(now=10.3) == SECOND + 800
    assert playout.echoed(new, now=11.2) == 2 * SECOND


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x",
        "1",
        ":",
        "1:",
        ":8000",
        "1:8001",
        "1:0",
        "1:-5",
        "2:8000",
        "1:8000 ",
        "1:٨000",
        "1:8000:1",
        "1:" + "9" * 5000,
    ],
)
def test_a_mark_that_is_not_ours_proves_nothing(name: str) -> None:
    playout = playing(SECOND)
    playout.mark()
    assert playout.echoed(name, now=11.0) is None
    assert not playout.drained


def test_a_mark_proves_something_once() -> None:
    playout = playing(SECOND)
    name = playout.mark()
    playout.sent(SECOND, now=10.5)
    assert playout.echoed(name, now=11.0) == SECOND
    assert playout.echoed(name, now=11.5) is None
    assert playout.position(now=11.5) == 12_000
    assert playout.given == 16_000


def test_marks_are_due_every_500_ms_while_one_is_on_its_way() -> None:
    playout = Playout()
    assert not playout.mark_due
    marked: list[int] = []
    for number in range(1, 151):  # 20 ms at a time
        playout.sent(160, now=0.0)
        if playout.mark_due:
            playout.mark()
            marked.append(number * 160)
    steps = {late - early for early, late in itertools.pairwise(marked)}
    assert marked[0] == 160
    assert steps == {MARK_EVERY_BYTES}


def test_the_last_byte_is_covered_without_a_timer() -> None:
    playout = playing(400)
    first = playout.mark()
    playout.sent(400, now=10.0)
    assert not playout.mark_due
    playout.echoed(first, now=10.05)
    assert playout.mark_due
    playout.echoed(playout.mark(), now=10.1)
    assert playout.drained
    assert not playout.mark_due


def test_what_is_not_played_when_the_stream_ends_never_is() -> None:
    playout = playing(SECOND)
    name = playout.mark()
    playout.stop(now=10.5)
    playout.sent(SECOND, now=11.0)
    assert playout.position(now=20.0) == 4000
    assert playout.echoed(name, now=20.0) is None
    assert playout.restart(now=30.0) == Heard(2 * SECOND, 4000)
    assert playout.echoed(name, now=30.1) is None
    playout.sent(SECOND, now=31.0)
    assert playout.position(now=31.5) == 20_000
    assert playout.echoed(playout.mark(), now=32.0) == 3 * SECOND


def test_a_clear_between_two_streams_is_told_once() -> None:
    playout = playing(SECOND)
    playout.stop(now=10.5)
    assert playout.clear(now=11.0) == Heard(SECOND, 4000)
    assert not playout.restart(now=12.0).cut


steps = st.lists(
    st.tuples(
        st.floats(0.0, 3.0),
        st.sampled_from(["send", "echo", "clear", "stop", "restart"]),
        st.integers(1, 20_000),
    )
)


@given(steps)
def test_nothing_unsent_is_heard_and_nothing_proven_is_unheard(
    history: list[tuple[float, str, int]],
) -> None:
    playout, now, sent, proven = Playout(), 0.0, 0, 0
    marks: list[str] = []
    for wait_s, what, size in history:
        now += wait_s
        if what == "send":
            playout.sent(size, now=now)
            sent += size
        elif what == "echo" and marks:
            proven = max(proven, playout.echoed(marks.pop(0), now=now) or 0)
        elif what == "stop":
            playout.stop(now=now)
        elif what != "echo":
            told = (
                playout.clear(now=now) if what == "clear" else playout.restart(now=now)
            )
            assert proven <= told.heard <= told.position == sent
            assert playout.drained
        if playout.mark_due:
            marks.append(playout.mark())
        assert proven <= playout.position(now=now) <= sent


@dataclass
class Carrier:
    """A player behind a line that takes its time, on a clock of its own.

    What is sent arrives in order, up to 15 ms later; marks are looked for every
    20 ms, as by the stand-in.
    """

    rng: random.Random
    now: float = 0.0
    player: MediaPlayer = field(default_factory=lambda: MediaPlayer(started_at=0.0))
    playout: Playout = field(default_factory=Playout)
    due: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    last_at: float = 0.0
    count: int = 0

    def later(self, do: Callable[[], None]) -> None:
        """Let *do* happen after everything that was sent before."""
        self.last_at = max(self.last_at, self.now + self.rng.uniform(0.0, 0.015))
        self.at(self.last_at, do)

    def at(self, when: float, do: Callable[[], None]) -> None:
        self.count += 1
        heapq.heappush(self.due, (when, self.count, do))

    def run(self, until: float) -> None:
        while self.due and self.due[0][0] <= until:
            self.now, _, do = heapq.heappop(self.due)
            do()
        self.now = until

    def tick(self) -> None:
        self.echo(self.player.expire(now=self.now))
        self.at(self.now + 0.020, self.tick)

    def echo(self, names: tuple[str, ...]) -> None:
        for name in names:
            self.later(functools.partial(self.on_echo, name))

    def on_echo(self, name: str) -> None:
        self.playout.echoed(name, now=self.now)
        self.mark()

    def mark(self) -> None:
        if self.playout.mark_due:
            name = self.playout.mark()
            self.later(lambda: self.echo(self.player.mark(name, now=self.now)))

    def send(self, audio: bytes) -> None:
        self.playout.sent(len(audio), now=self.now)
        self.later(lambda: self.player.media(audio, now=self.now))
        self.mark()

    def clear(self) -> tuple[int, int]:
        """Return what the clock and the player say was heard."""
        heard: list[int] = []

        def drop() -> None:
            waiting = self.player.buffered_s(now=self.now) * SECOND
            heard.append(len(self.player.received) - round(waiting))
            self.echo(self.player.clear(now=self.now))

        told = self.playout.clear(now=self.now)
        self.later(drop)
        self.run(self.now + 0.050)
        assert told.position == len(self.player.received)
        return told.heard, heard[0]


@pytest.mark.parametrize("seed", range(10))
def test_what_the_clock_says_was_heard_is_within_60_ms_of_the_player(
    seed: int,
) -> None:
    rng = random.Random(seed)
    carrier = Carrier(rng)
    carrier.tick()
    for _ in range(50):
        for _ in range(rng.randint(1, 8)):
            carrier.send(bytes(rng.choice([160, 400, 1600, 4000])))
            carrier.run(carrier.now + rng.uniform(0.0, 0.4))
        told, heard = carrier.clear()
        assert abs(told - heard) <= 0.060 * SECOND


def test_a_call_of_another_edge_goes_on_where_it_was() -> None:
    playout = Playout()
    playout.resume(24_000)
    assert playout.restart(now=5.0) == Heard(24_000, 24_000)
    assert playout.drained
    playout.sent(800, now=5.0)
    assert playout.position(now=5.0625) == 24_500
    assert playout.given == 24_800
