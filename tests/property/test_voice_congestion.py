"""The window of thin voice traffic: whatever happens on the path."""

from hypothesis import given, settings
from hypothesis import strategies as st

from backhaul.core.voice_congestion import VoiceCongestionConfig, VoiceWindow

CONFIG = VoiceCongestionConfig()
LEAST = CONFIG.least_datagrams * CONFIG.datagram_bytes

steps = st.lists(
    st.tuples(
        st.floats(0, 3),
        st.sampled_from(["offered", "acked", "lost", "round trip", "path lost"]),
        st.floats(0, 2),
    ),
    max_size=80,
)


def play(window: VoiceWindow, what: str, how_much: float, *, now: float) -> None:
    match what:
        case "offered":
            window.on_offered(int(how_much * 1e6), now=now)
        case "acked":
            size = int(how_much * 600)
            window.on_acked(size, in_flight_bytes=int(how_much * 1e6), now=now)
        case "lost":
            window.on_lost(int(how_much * 40), now=now)
        case "round trip":
            window.on_round_trip(how_much, now=now)
        case _:
            window.on_path_lost()


@settings(deadline=None)
@given(steps)
def test_speech_is_held_back_for_a_growing_queue_or_a_heavy_loss_only(
    history: list[tuple[float, str, float]],
) -> None:
    window = VoiceWindow(CONFIG, now=0.0)
    now = 0.0
    for wait_s, what, how_much in history:
        now += wait_s
        play(window, what, how_much, now=now)
        assert LEAST <= window.window_bytes <= CONFIG.most_bytes
        if not window.queue_grows and not window.loss_is_heavy:
            assert window.window_bytes >= window.floor_bytes


@settings(deadline=None)
@given(st.integers(10_000, 2_000_000), st.floats(0.005, 0.5), st.integers(0, 19))
def test_no_random_loss_below_a_fifth_holds_speech_back(
    rate_per_s: int, rtt_s: float, lost_of_100: int
) -> None:
    window = VoiceWindow(CONFIG, now=0.0)
    now = 0.0
    for number in range(500):
        now += 0.01
        window.on_offered(rate_per_s // 100, now=now)
        if number * 7 % 100 < lost_of_100:
            window.on_lost(1, now=now)
        else:
            window.on_acked(1000, in_flight_bytes=0, now=now)
            window.on_round_trip(rtt_s, now=now)
    wanted = min(rate_per_s * rtt_s, CONFIG.most_bytes)
    assert window.window_bytes >= wanted
