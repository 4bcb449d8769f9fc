"""Makes the speech files from lines.toml: ``python -m lab.make_speech``.

Needs the dependency group ``speech``. The same synthesizer version makes the same
bytes again.
"""

import math
import struct
import tomllib
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from backhaul.core.g711 import MULAW_RATE_HZ, encode

__all__ = ["main"]

_SYNTHESIZER_RATE_HZ = 24_000
_PEAK = 0.5 * 32767  # -6 dBFS
_SPEECH_LEVEL = 0.02  # of the peak: 34 dB below it
_LEAD_SAMPLES = 160  # 20 ms, so that no first consonant is cut
_TAIL_SAMPLES = 480  # 60 ms
_FADE_SAMPLES = 40
_ZERO_CROSSINGS = 16


class _Samples(Protocol):
    def tolist(self) -> list[float]: ...


class _Synthesizer(Protocol):
    def __call__(self, text: str, speed: float, seed: int) -> _Samples: ...


def main() -> None:
    """Write one mu-law file per line of lines.toml."""
    directory = Path(__file__).parent / "speech"
    table = tomllib.loads((directory / "lines.toml").read_text(encoding="utf-8"))
    synthesizer = cast("_Synthesizer", import_module("hibari").Hibari())
    for seed, (name, line) in enumerate(table["lines"].items()):
        voice = table["voices"][line["voice"]]
        # Resampling shifts the pitch and the pace together: ask for the opposite pace.
        spoken = synthesizer(line["text"], voice["pace"] / voice["pitch"], seed)
        ratio = _SYNTHESIZER_RATE_HZ * voice["pitch"] / MULAW_RATE_HZ
        samples = _trimmed(_resampled(spoken.tolist(), ratio))
        (directory / f"{name}.ulaw").write_bytes(encode(_levelled(samples)))


def _resampled(samples: Sequence[float], ratio: float) -> list[float]:
    """Return every *ratio*-th sample, low-passed by a Hann-windowed sinc."""
    reach = math.ceil(_ZERO_CROSSINGS * ratio)
    result: list[float] = []
    for index in range(int(len(samples) / ratio)):
        centre = index * ratio
        first = max(0, math.ceil(centre) - reach)
        last = min(len(samples), math.floor(centre) + reach + 1)
        result.append(
            sum(samples[n] * _kernel((n - centre) / ratio) for n in range(first, last))
        )
    return result


def _kernel(x: float) -> float:
    if abs(x) >= _ZERO_CROSSINGS:
        return 0.0
    window = 0.5 + 0.5 * math.cos(math.pi * x / _ZERO_CROSSINGS)
    return window * (math.sin(math.pi * x) / (math.pi * x) if x else 1.0)


def _trimmed(samples: list[float]) -> list[float]:
    """Return *samples* without the silence around the speech, ends faded."""
    level = _SPEECH_LEVEL * max(map(abs, samples))
    loud = [n for n, sample in enumerate(samples) if abs(sample) >= level]
    cut = samples[max(0, loud[0] - _LEAD_SAMPLES) : loud[-1] + _TAIL_SAMPLES]
    for n in range(_FADE_SAMPLES):
        cut[n] *= n / _FADE_SAMPLES
        cut[-1 - n] *= n / _FADE_SAMPLES
    return cut


def _levelled(samples: list[float]) -> bytes:
    gain = _PEAK / max(map(abs, samples))
    return struct.pack(f"<{len(samples)}h", *(round(gain * s) for s in samples))


if __name__ == "__main__":
    main()
