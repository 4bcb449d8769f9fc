"""Offline speech synthesis, for ``warmline[voice]``."""

from importlib import import_module
from typing import Any, Final

from backhaul.core.g711 import MULAW_RATE_HZ, encode

__all__ = ["Speech"]

_RATE_HZ: Final = 24_000
_STEP: Final = _RATE_HZ // MULAW_RATE_HZ
_TAPS: Final = 97
_CUTOFF: Final = 0.92 / _STEP
"""Of half the synthesizer's rate: a little below half the telephone's."""
_PEAK: Final = 0.5 * 32767  # -6 dBFS
_SEED: Final = 1


class Speech:
    """Says things in English; blocks, so run it in a thread."""

    def __init__(self) -> None:
        """Load the voice.

        Raises:
            ImportError: The extra ``voice`` is not installed.
        """
        self._numpy: Any = import_module("numpy")
        self._voice: Any = import_module("hibari").Hibari()
        np = self._numpy
        away = np.arange(_TAPS) - _TAPS // 2
        self._filter = _CUTOFF * np.sinc(_CUTOFF * away) * np.hanning(_TAPS)

    def say(self, text: str) -> bytes:
        """Return *text* spoken, 8 kHz mu-law."""
        np = self._numpy
        spoken = np.asarray(self._voice(text, 1.0, _SEED), dtype=np.float64)
        narrow = np.convolve(spoken, self._filter, mode="same")[::_STEP]
        loudest = max(float(np.abs(narrow).max()), 1e-6)
        return encode((narrow * (_PEAK / loudest)).astype("<i2").tobytes())
