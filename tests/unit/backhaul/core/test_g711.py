import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backhaul.core.g711 import decode, encode, energy

ALL_CODES = bytes(range(256))


def pcm(*samples: int) -> bytes:
    return struct.pack(f"<{len(samples)}h", *samples)


def test_every_code_survives_the_round_trip() -> None:
    # 0x7F is negative zero: the one code that encoding never makes.
    expected = ALL_CODES.replace(b"\x7f", b"\xff")
    assert encode(decode(ALL_CODES)) == expected


def test_decodes_the_values_of_the_standard() -> None:
    # ITU-T G.711 table 2, its 14-bit values scaled to 16 bits.
    known = {0x80: 32124, 0x00: -32124, 0xFF: 0, 0x8F: 16764, 0xF0: 120, 0xEF: 132}
    assert decode(bytes(known)) == pcm(*known.values())


def test_encodes_full_scale_and_silence() -> None:
    assert encode(pcm(32767, -32768, 0, -1)) == b"\x80\x00\xff\x7f"


@given(st.integers(-32768, 32767))
def test_encoding_picks_a_nearby_value(sample: int) -> None:
    (back,) = struct.unpack("<h", decode(encode(pcm(sample))))
    assert abs(back - sample) <= max(4, (abs(sample) + 132) // 32)


def test_refuses_half_a_sample() -> None:
    with pytest.raises(ValueError, match="3 bytes"):
        encode(b"abc")


def test_energy_is_the_mean_square() -> None:
    tone = [round(10000 * math.sin(n / 8 * math.tau)) for n in range(800)]
    assert energy(encode(pcm(*tone))) == pytest.approx(10000**2 / 2, rel=0.03)
    assert energy(b"") == 0
    assert energy(b"\xff" * 160) == 0
