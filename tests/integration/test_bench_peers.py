"""The bench of peers runs, and its figures and ratios are those that were asked for."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from backhaul.child import start_child
from bench.load_search import next_load
from bench.peers_audio import (
    Delays,
    PulseEar,
    PulseVoice,
    StampEar,
    StampVoice,
    Window,
    loud_mulaw,
    loud_pcm,
    match_pulses,
)
from bench.peers_report import medians, most_carried, ratios

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(240)
async def test_calls_are_measured_with_and_without_tls() -> None:
    arguments = "--calls 2 --seconds 1 --systems warmline-websocket --tls both"
    process = await start_child(
        [
            *(sys.executable, str(ROOT / "bench" / "peers.py")),
            *arguments.split(),
            "--json",
        ],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    runs = json.loads(out)["runs"]
    assert [run["tls"] for run in runs] == [False, True]
    for run in runs:
        assert (run["system"], run["transport"]) == ("warmline", "websocket")
        assert run["carried"]
        assert run["failed_calls"] == run["lost_percent"] == 0
        assert 0 < run["added_ms"]["p50"] <= run["added_ms"]["p99"]
        assert run["back_ms"]["p50"] > 0
        cpu = run["cpu_ms_per_call_second"]
        assert cpu["total"] == pytest.approx(cpu["edge"] + cpu["agent"], abs=0.01)
        assert cpu["total"] > 0


def open_window() -> Window:
    window = Window()
    window.set(10.0, 20.0)
    return window


def test_stamps_are_found_however_the_audio_was_cut() -> None:
    window, delays = open_window(), Delays()
    voice, ear = StampVoice(0.02, window), StampEar(delays, window)
    audio = b"".join(voice.piece(10.0 + n * 0.02) for n in range(20))
    for at in range(0, len(audio), 7):
        ear.hear(audio[at : at + 7], 12.0)
    assert voice.sent == len(delays.figures()) == 20
    assert max(delays.figures()) == 2000
    assert min(delays.figures()) == pytest.approx(1620)


def test_what_was_sent_outside_the_window_does_not_count() -> None:
    window, delays = open_window(), Delays()
    voice, ear = StampVoice(0.02, window), StampEar(delays, window)
    for at in (9.9, 20.0):
        ear.hear(voice.piece(at), at)
    assert voice.sent == len(delays.figures()) == 0


@pytest.mark.parametrize(("rate", "is_loud"), [(1, loud_mulaw), (3, loud_pcm)])
def test_pulses_come_once_a_second_and_are_matched_in_order(
    rate: int, is_loud: Any
) -> None:
    window = open_window()
    voice, ear = PulseVoice(0.02, window, rate=rate), PulseEar(is_loud, window)
    for n in range(150):
        now = 9.9 + n * 0.02
        ear.hear(voice.piece(now), now + 0.1)
    sent, delays = match_pulses([voice.sent], [ear.heard])
    assert sent == len(delays) == 3
    assert delays == pytest.approx([100.0] * 3)


def made_run(system: str, calls: int, cpu_ms: float, **facts: Any) -> dict[str, Any]:
    """Return a run of `peers.py` as far as it is compared."""
    return {
        "system": system,
        "transport": "quic" if system == "warmline" else None,
        "tls": False,
        "calls": calls,
        "cpu_ms_per_call_second": {"total": cpu_ms},
        "added_ms": {"p99": 5.0},
        "back_ms": {"p99": 5.0},
        "carried": True,
        "machine_unit_us": 10.0,
    } | facts


def test_a_ratio_is_taken_at_the_same_load_or_the_peers_highest_below() -> None:
    runs = [
        made_run("warmline", 100, 1.0),
        made_run("plain", 10, 8.0),
        made_run("plain", 100, 4.0),
        made_run("plain", 200, 2.0),
        made_run("pipecat", 10, 20.0),
        made_run("pipecat", 10, 40.0, tls=True),
    ]
    assert ratios(runs) == {
        "quic@100 / plain@100": 0.25,
        "quic@100 / pipecat@10": 0.05,
    }


def test_a_ratio_does_not_follow_the_speed_of_the_machine() -> None:
    slow = made_run("plain", 100, 8.0, machine_unit_us=20.0)
    assert ratios([made_run("warmline", 100, 1.0), slow]) == {
        "quic@100 / plain@100": 0.25
    }


def test_calls_count_as_carried_while_they_are_whole_and_in_time() -> None:
    runs = [
        made_run("plain", 10, 1.0),
        made_run("plain", 100, 1.0, back_ms={"p99": 21.0}),
        made_run("warmline", 100, 1.0),
        made_run("warmline", 200, 1.0, carried=False),
        made_run("warmline", 400, 1.0),
        made_run("pipecat", 10, 1.0, added_ms={"p99": None}),
    ]
    assert most_carried(runs) == {"plain": 10, "warmline-quic": 100, "pipecat": 0}


def test_of_several_rounds_the_median_counts_and_one_failure() -> None:
    rounds = [made_run("plain", 10, cpu_ms) for cpu_ms in (3.0, 1.0, 2.0)]
    rounds[1]["carried"] = False
    found = medians(rounds)
    assert found["cpu_ms_per_call_second"] == {"total": 2.0}
    assert found["carried"] is False
    assert found["calls"] == 10


@pytest.mark.parametrize("limit", [0, 1, 7, 24, 25, 26, 175, 1000])
def test_the_limit_of_a_load_is_found_within_a_tenth(limit: int) -> None:
    tried: dict[int, bool] = {}
    while (load := next_load(tried)) is not None:
        assert load > 0
        assert load not in tried
        tried[load] = load <= limit
    most = max((load for load, carried in tried.items() if carried), default=0)
    least = min(load for load, carried in tried.items() if not carried)
    assert most <= limit < least
    assert least - most <= max(0.1 * least, 1)


def test_loads_are_doubled_until_one_is_too_much() -> None:
    assert next_load({}) == 25
    assert next_load({25: True}) == 50
    assert next_load({25: True, 50: True}) == 100
    assert next_load({25: True, 50: True, 100: False}) == 75
