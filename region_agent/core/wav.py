"""Reads greeting recordings: WAV files of telephone speech to raw mu-law."""

import struct

from backhaul.core import g711

__all__ = ["UnusableAudioError", "mulaw_from_wav"]

_PCM, _MULAW, _EXTENSIBLE = 1, 7, 0xFFFE
_FORMAT = struct.Struct("<HHIIHH")
_GUID_OFFSET = 24


class UnusableAudioError(ValueError):
    """A recording is not 8 kHz mono mu-law or 16-bit PCM."""


def mulaw_from_wav(data: bytes) -> bytes:
    """Return the samples of the WAV file *data* as raw mu-law.

    Raises:
        UnusableAudioError: If it is not a WAV file of 8 kHz mono, mu-law or PCM16.

    Source: Microsoft, "Multiple channel audio data and WAVE files".
    """
    chunks = _chunks(data)
    if len(chunks.get(b"fmt ", b"")) < _FORMAT.size or b"data" not in chunks:
        raise UnusableAudioError("is not a whole WAV file")
    tag, channels, rate_hz, _, _, bits = _FORMAT.unpack_from(chunks[b"fmt "])
    if tag == _EXTENSIBLE and len(chunks[b"fmt "]) >= _GUID_OFFSET + 2:
        (tag,) = struct.unpack_from("<H", chunks[b"fmt "], _GUID_OFFSET)
    if channels != 1 or rate_hz != g711.MULAW_RATE_HZ:
        raise UnusableAudioError(f"has {channels} channel(s) at {rate_hz} Hz")
    samples = chunks[b"data"]
    if (tag, bits) == (_MULAW, 8):
        return samples
    if (tag, bits) == (_PCM, 16) and len(samples) % 2 == 0:
        return g711.encode(samples)
    raise UnusableAudioError(f"has format {tag} with {bits} bits")


def _chunks(data: bytes) -> dict[bytes, bytes]:
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise UnusableAudioError("is not a WAV file")
    chunks: dict[bytes, bytes] = {}
    offset = 12
    while offset + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, offset)
        start = offset + 8
        chunks.setdefault(name, data[start : start + size])
        offset = start + size + size % 2  # chunks are padded to even length
    return chunks
