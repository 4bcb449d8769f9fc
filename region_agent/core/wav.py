"""WAV files of telephone speech: greetings are read, recordings are written."""

import struct
from typing import Final

from backhaul.core import g711

__all__ = [
    "HEADER_BYTES",
    "UnusableAudioError",
    "mulaw_from_wav",
    "recording_header",
    "repaired_header",
]

HEADER_BYTES: Final = 58
"""Size of the header of a recording, in either form."""

_PCM, _MULAW, _EXTENSIBLE = 1, 7, 0xFFFE
_FORMAT = struct.Struct("<HHIIHH")
_GUID_OFFSET = 24
_HEADER = struct.Struct("<4sI4s 4sIHHIIHHH 4sII 4sI")
_CHANNELS = 2
_MAX_SIZE = 0xFFFFFFFF


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


def recording_header(*, pcm: bool, data_bytes: int) -> bytes:
    """Return what goes before *data_bytes* of a two-channel recording.

    Args:
        pcm: Whether samples are 16-bit PCM; else mu-law.
        data_bytes: Size of the samples, of both channels together.

    Source: Microsoft, "Multiple channel audio data and WAVE files"; all but PCM need
        the longer ``fmt`` chunk and a ``fact`` chunk, PCM may have them.
    """
    width = 2 if pcm else 1
    block = _CHANNELS * width
    rate_hz = g711.MULAW_RATE_HZ
    return _HEADER.pack(
        b"RIFF",
        min(HEADER_BYTES - 8 + data_bytes, _MAX_SIZE),
        b"WAVE",
        b"fmt ",
        18,  # bytes up to the empty extension
        _PCM if pcm else _MULAW,
        _CHANNELS,
        rate_hz,
        rate_hz * block,
        block,
        8 * width,
        0,
        b"fact",
        4,
        min(data_bytes // block, _MAX_SIZE),
        b"data",
        min(data_bytes, _MAX_SIZE),
    )


def repaired_header(header: bytes, file_bytes: int) -> tuple[bytes, int]:
    """Return the right header of a recording that was never finished, and its size.

    Args:
        header: The first bytes of the file.
        file_bytes: Size of the file; a last sample that is not whole is cut off.

    Raises:
        UnusableAudioError: If the file does not begin as `recording_header` makes it.
    """
    for pcm, block in ((True, 2 * _CHANNELS), (False, _CHANNELS)):
        blank = recording_header(pcm=pcm, data_bytes=0)
        if header == blank:
            data_bytes = (file_bytes - HEADER_BYTES) // block * block
            fixed = recording_header(pcm=pcm, data_bytes=data_bytes)
            return fixed, HEADER_BYTES + data_bytes
    raise UnusableAudioError("is no recording")
