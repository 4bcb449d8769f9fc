"""The tone that callers on hold hear."""

import pytest

from backhaul.core.g711 import MULAW_RATE_HZ, energy
from backhaul.core.profile import HoldToneKind
from edge.core.hold_tone import TONE_AHEAD_S, HoldTone, tone

FULL_SCALE = 32124.0


@pytest.mark.parametrize("kind", HoldToneKind)
def test_a_tone_is_soft_and_begins_at_once(kind: HoldToneKind) -> None:
    period = tone(kind)
    frame = MULAW_RATE_HZ // 50
    loudness = [
        energy(period[at : at + frame]) ** 0.5 / FULL_SCALE
        for at in range(0, len(period), frame)
    ]
    assert 0.02 < max(loudness) < 0.06  # -34 to -24 dB
    assert loudness[1] > 0.005  # 20 ms after its beginning it can be heard
    assert loudness[0] < max(loudness)  # it does not crack
    assert loudness[-1] < 0.001
    assert len(period) % frame == 0


def test_both_tones_differ() -> None:
    assert tone(HoldToneKind.RING) != tone(HoldToneKind.CHIME)


def test_it_is_dealt_out_a_little_ahead_of_being_heard() -> None:
    period = bytes(range(250)) * 4
    playing = HoldTone(period, now=100.0)
    got = playing.due(now=100.0)
    assert len(got) == round(TONE_AHEAD_S * MULAW_RATE_HZ)
    got += playing.due(now=100.1)
    assert len(got) == round((TONE_AHEAD_S + 0.1) * MULAW_RATE_HZ)
    assert playing.due(now=100.1) == b""
    assert playing.due(now=100.05) == b""


def test_it_repeats_without_a_seam_however_late_it_is_asked() -> None:
    period = bytes(range(250)) * 4
    playing = HoldTone(period, now=0.0)
    got = b"".join(playing.due(now=at) for at in (0.0, 0.1, 0.11, 0.9, 3.0))
    assert got == (period * 40)[: len(got)]
    assert len(got) == round((3.0 + TONE_AHEAD_S) * MULAW_RATE_HZ)
