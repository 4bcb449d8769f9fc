"""G.711 mu-law to and from 16-bit linear PCM (little endian), by tables.

Source: ITU-T G.711, table 2; the bias of 132 and the segment layout are its.
"""

import struct

__all__ = ["MULAW_RATE_HZ", "SILENCE", "decode", "encode", "energy"]

MULAW_RATE_HZ = 8000
SILENCE = b"\xff"
"""The quietest sample of mu-law."""

_BIAS = 132


def _linear(code: int) -> int:
    inverted = code ^ 0xFF
    exponent, mantissa = (inverted >> 4) & 7, inverted & 15
    magnitude = ((mantissa + 16) << (exponent + 3)) + (4 << exponent) - _BIAS
    return -magnitude if inverted & 0x80 else magnitude


def _encode_table() -> bytes:
    """Return the code of every sample, indexed by its unsigned 16-bit pattern."""
    steps = (
        bytes([0xFF ^ (exponent << 4 | mantissa)]) * (8 << exponent)
        for exponent in range(8)
        for mantissa in range(16)
    )
    # The first interval begins at 128, so magnitude 0 lies 4 samples into it.
    by_magnitude = b"".join(steps)[_BIAS - 128 :].ljust(32769, b"\x80")
    negative = bytes(code & 0x7F for code in reversed(by_magnitude[1:]))
    return by_magnitude[:32768] + negative


_ENCODED = _encode_table()
_LOW_BYTES = bytes(_linear(code) & 0xFF for code in range(256))
_HIGH_BYTES = bytes(_linear(code) >> 8 & 0xFF for code in range(256))
_SQUARED = tuple(_linear(code) ** 2 for code in range(256))


def decode(audio: bytes) -> bytes:
    """Return mu-law *audio* as signed 16-bit little-endian PCM."""
    pcm = bytearray(2 * len(audio))
    pcm[0::2] = audio.translate(_LOW_BYTES)
    pcm[1::2] = audio.translate(_HIGH_BYTES)
    return bytes(pcm)


def encode(pcm: bytes) -> bytes:
    """Return signed 16-bit little-endian *pcm* as mu-law.

    Raises:
        ValueError: If *pcm* ends inside a sample.
    """
    if len(pcm) % 2:
        raise ValueError(f"{len(pcm)} bytes are not whole 16-bit samples")
    samples = struct.unpack(f"<{len(pcm) // 2}H", pcm)
    return bytes(map(_ENCODED.__getitem__, samples))


def energy(audio: bytes) -> float:
    """Return the mean square of mu-law *audio*, 0 when empty (most: 32124 ** 2)."""
    return sum(map(_SQUARED.__getitem__, audio)) / len(audio) if audio else 0.0
