"""The window of thin voice traffic: what shrinks it and what does not."""

from backhaul.core.voice_congestion import VoiceCongestionConfig, VoiceWindow

CONFIG = VoiceCongestionConfig()
START = CONFIG.start_datagrams * CONFIG.datagram_bytes
LEAST = CONFIG.least_datagrams * CONFIG.datagram_bytes
PACKET = 1000
STEP_S = 0.01


class Path:
    """A window whose packets, one each 10 ms, have the fate that a test gives them."""

    def __init__(self, rtt_s: float = 0.08) -> None:
        self.now = 0.0
        self.rtt_s = rtt_s
        self.window = VoiceWindow(CONFIG, now=0.0)

    def run(
        self,
        seconds: float,
        *,
        offered_per_s: float = 400_000,
        lost_of_20: int = 0,
        rtt_growth_per_s: float = 0.0,
        in_flight: int = 0,
        packet: int = PACKET,
    ) -> None:
        for step in range(round(seconds / STEP_S)):
            self.now += STEP_S
            self.rtt_s += rtt_growth_per_s * STEP_S
            self.window.on_offered(int(offered_per_s * STEP_S), now=self.now)
            if step % 20 < lost_of_20:
                self.window.on_lost(1, now=self.now)
            else:
                self.window.on_acked(packet, in_flight_bytes=in_flight, now=self.now)
                self.window.on_round_trip(self.rtt_s, now=self.now)


def test_the_window_follows_the_offered_rate() -> None:
    path = Path()
    assert path.window.window_bytes == START
    path.run(5.0)
    in_flight = 400_000 * (0.08 + CONFIG.slack_s)
    assert 0.9 < path.window.offered_bytes_per_s / 400_000 < 1.1
    assert path.window.window_bytes >= 1.4 * in_flight
    path.run(10.0, offered_per_s=0)
    assert path.window.floor_bytes == START


def test_random_loss_does_not_shrink_it() -> None:
    path = Path()
    path.run(5.0)
    before = path.window.window_bytes
    path.run(10.0, lost_of_20=2)
    assert path.window.window_bytes >= 0.95 * before
    assert not path.window.loss_is_heavy


def test_a_long_but_steady_queue_does_not_shrink_it() -> None:
    path = Path()
    path.run(5.0)
    path.rtt_s += 0.3
    path.run(3.0)
    assert not path.window.queue_grows
    assert path.window.window_bytes >= 1.4 * 400_000 * 0.38


def test_a_growing_queue_shrinks_it_until_the_queue_stands() -> None:
    path = Path()
    path.run(5.0)
    before = path.window.window_bytes
    path.run(1.0, rtt_growth_per_s=0.2)
    assert path.window.queue_grows
    # 100 packets of 1000 bytes a second arrive: 8 kB fit the path without a queue.
    assert path.window.window_bytes <= 8000
    path.rtt_s = 0.08
    path.run(1.0)
    assert not path.window.queue_grows
    assert path.window.window_bytes >= 0.95 * before


def test_a_queue_next_door_leaves_room_for_what_is_noise() -> None:
    path = Path(rtt_s=0.0003)
    path.run(5.0, offered_per_s=3e6, packet=30_000)
    path.run(1.0, offered_per_s=3e6, packet=30_000, rtt_growth_per_s=0.2)
    assert path.window.queue_grows
    assert path.window.window_bytes > 5 * LEAST


def test_a_queue_too_short_to_hear_is_noise() -> None:
    path = Path()
    path.run(5.0)
    path.run(0.5, rtt_growth_per_s=0.03)
    assert not path.window.queue_grows


def test_heavy_loss_that_lasts_shrinks_it_and_light_loss_lets_it_grow_back() -> None:
    path = Path()
    path.run(5.0)
    before = path.window.window_bytes
    path.run(6.0, lost_of_20=8)
    assert path.window.loss_is_heavy
    assert path.window.window_bytes < before / 2
    path.run(2.0, lost_of_20=3)  # neither heavy nor light
    held = path.window.window_bytes
    path.run(3.0, lost_of_20=3)
    assert path.window.window_bytes == held
    path.run(8.0)
    assert not path.window.loss_is_heavy
    assert path.window.window_bytes >= 0.95 * before


def test_few_packets_lost_of_few_are_no_heavy_loss() -> None:
    window = VoiceWindow(CONFIG, now=0.0)
    window.on_lost(10, now=0.5)
    window.on_lost(9, now=2.0)
    assert not window.loss_is_heavy
    window.on_lost(40, now=4.0)
    assert window.loss_is_heavy


def test_it_grows_for_more_than_speech_while_it_is_used() -> None:
    path = Path()
    path.run(2.0, offered_per_s=0)
    assert path.window.window_bytes == START  # nobody used it
    path.run(2.0, offered_per_s=0, in_flight=10**9)
    grown = path.window.window_bytes
    assert grown >= START + 190 * PACKET
    path.run(1.0, offered_per_s=0, in_flight=10**9, rtt_growth_per_s=0.3)
    assert path.window.window_bytes < START
    path.rtt_s = 0.08
    path.run(1.0, offered_per_s=0)
    path.run(20.0, offered_per_s=0, in_flight=10**9)
    # It found the end of the path before: 2,000 packets let it grow by half of START.
    assert START < path.window.window_bytes < 2 * START


def test_it_never_leaves_its_bounds() -> None:
    path = Path()
    path.run(3.0, offered_per_s=1e9, in_flight=10**9)
    assert path.window.window_bytes == CONFIG.most_bytes
    path.run(60.0, lost_of_20=20)
    assert path.window.window_bytes == LEAST


def test_a_lost_path_leaves_the_window_of_the_speech() -> None:
    path = Path()
    path.run(3.0, offered_per_s=0, in_flight=10**9)
    path.window.on_path_lost()
    assert path.window.window_bytes == path.window.floor_bytes == START


def test_the_shortest_round_trip_is_forgotten_in_time() -> None:
    path = Path(rtt_s=0.02)
    path.run(1.0)
    path.rtt_s = 0.15
    path.run(40.0)
    # A queue would have to grow over the new path now.
    path.run(0.5, rtt_growth_per_s=0.03)
    assert not path.window.queue_grows


def test_a_clock_that_stands_still_is_no_error() -> None:
    window = VoiceWindow(CONFIG, now=5.0)
    window.on_offered(100, now=4.0)
    window.on_offered(100, now=5.0)
    assert window.offered_bytes_per_s == 400
