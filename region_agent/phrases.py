"""Fixed phrases ready to play, spoken once by the model itself in a profile's voice."""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final

import structlog

from backhaul.clock import monotonic_s
from backhaul.core.backoff import Backoff
from backhaul.core.estimators import SmoothedMean
from backhaul.core.g711 import MULAW_RATE_HZ
from backhaul.core.messages import Greeting, Script
from backhaul.core.profile import Profile
from backhaul.errors import RealtimeError, RealtimeRateLimitedError
from backhaul.tasks import TaskOwner
from region_agent.core.open_limiter import OpenLimiter
from region_agent.core.phrases import fixed_phrases, speak_phrase
from region_agent.core.realtime_events import ServerEvent
from region_agent.realtime import RealtimeCounters, RealtimeSession
from region_agent.realtime_open import RealtimeEndpoint, open_session

__all__ = ["MAX_PHRASE_BYTES", "MAX_PHRASE_S", "PhraseNotSpokenError", "Phrases"]

MAX_PHRASE_S: Final = 30
"""Longest phrase (s); one frame on a link carries it."""

MAX_PHRASE_BYTES: Final = MAX_PHRASE_S * MULAW_RATE_HZ
"""Longest phrase (bytes of mu-law)."""

_SPEAK_TIMEOUT_S: Final = 60.0

_log = structlog.get_logger()


class PhraseNotSpokenError(RealtimeError):
    """The model did not speak a phrase, or not as it can be used."""

    code = "phrase_not_spoken"


class Phrases:
    """The fixed phrases of all profiles; those without a recording get rendered.

    Openings come first and all at once: an agent without them is not ready. The other
    phrases of a profile follow over one session, one profile at a time.

    Args:
        profiles: By name.
        recorded: Openings that need no rendering, by profile.
        endpoint: Where sessions are opened.
        counters: Where sessions count what passes.
        limiter: Says when a session may be opened.
        first_audio: What learns, for a profile, how long the model takes.
        on_ready: Gets each opening and each script that was rendered.
        rng: Spreads the retries.
    """

    def __init__(
        self,
        profiles: Mapping[str, Profile],
        recorded: Mapping[str, Greeting],
        *,
        endpoint: RealtimeEndpoint,
        counters: RealtimeCounters,
        limiter: OpenLimiter,
        first_audio: Callable[[str], SmoothedMean],
        on_ready: Callable[[Greeting | Script], None],
        rng: random.Random,
    ) -> None:
        self.ready: dict[str, Greeting] = dict(recorded)
        """Openings by profile."""
        self.scripts: dict[str, Script] = {}
        """What callers without a session hear, by profile."""
        self._profiles = profiles
        self._audio = {(name, g.text): g.audio for name, g in recorded.items()}
        self._endpoint = endpoint
        self._counters = counters
        self._limiter = limiter
        self._first_audio = first_audio
        self._on_ready = on_ready
        self._rng = rng
        self._backoff = Backoff(first_s=0.5, max_s=30.0)
        # A phrase that the model will not say right costs its price at every try.
        self._costly_backoff = Backoff(first_s=0.5, max_s=600.0)
        self._one_at_a_time = asyncio.Lock()
        self._tasks = TaskOwner()

    def start(self) -> None:
        """Begin to render what has no recording."""
        for name in self._profiles:
            self._tasks.spawn(self._render_all(name), name=f"phrases:{name}")

    def missing(self) -> list[str]:
        """Return the profiles whose opening is not rendered yet."""
        return [
            name
            for name, profile in self._profiles.items()
            if profile.opening and name not in self.ready
        ]

    @property
    def waiting(self) -> int:
        """Phrases that are not rendered yet, openings included."""
        return sum(len(self._waiting(name)) for name in self._profiles)

    def audio(self, profile_name: str, text: str) -> bytes | None:
        """Return *text* in the profile's voice (mu-law), None if not rendered yet."""
        return self._audio.get((profile_name, text))

    async def aclose(self) -> None:
        """Stop rendering."""
        await self._tasks.aclose()

    def _waiting(self, name: str) -> list[str]:
        profile = self._profiles[name]
        texts = dict.fromkeys((profile.opening, *fixed_phrases(profile)))
        return [text for text in texts if text and self.audio(name, text) is None]

    async def _render_all(self, name: str) -> None:
        if name in self.missing():
            at_once = contextlib.nullcontext()
            await self._keep_trying(name, [self._profiles[name].opening], at_once)
        await self._keep_trying(name, self._waiting(name), self._one_at_a_time)

    async def _keep_trying(
        self, name: str, texts: list[str], turn: AbstractAsyncContextManager[None]
    ) -> None:
        waiting = deque(texts)
        failures = 0
        while waiting:
            before = len(waiting)
            try:
                async with turn:
                    await self._render(name, waiting)
            except RealtimeError as exc:
                failures = 1 if len(waiting) < before else failures + 1
                waiting.rotate(-1)  # what cannot be said holds up nothing else
                _log.warning("phrase.render_failed", profile=name, code=exc.code)
                await asyncio.sleep(self._wait_s(exc, failures))

    def _wait_s(self, exc: RealtimeError, failures: int) -> float:
        is_costly = isinstance(exc, PhraseNotSpokenError)
        backoff = self._costly_backoff if is_costly else self._backoff
        wait_s = backoff.wait_s(failures, rng=self._rng)
        if isinstance(exc, RealtimeRateLimitedError):
            self._limiter.refuse(exc.retry_after_s, now=monotonic_s())
        return wait_s

    async def _render(self, name: str, waiting: deque[str]) -> None:
        """Render what is *waiting*, and take off it what is done."""
        profile = self._profiles[name]
        await asyncio.sleep(self._limiter.reserve(now=monotonic_s()))
        session = await open_session(
            self._endpoint,
            profile,
            self._counters,
            first_audio=self._first_audio(name),
        )
        speaker = _Speaker(session)
        try:
            while waiting:
                self._keep(name, waiting[0], await speaker.say(waiting[0]))
                waiting.popleft()
        finally:
            session.close()

    def _keep(self, name: str, text: str, audio: bytes) -> None:
        self._audio[name, text] = audio
        _log.info("phrase.rendered", profile=name, audio_bytes=len(audio))
        if text == self._profiles[name].opening:
            self.ready[name] = greeting = Greeting(name, text, audio)
            self._on_ready(greeting)
        if text == self._profiles[name].fallback.script:
            self.scripts[name] = script = Script(name, text, audio)
            self._on_ready(script)


class _Speaker:
    """Has a session speak one phrase after the other (`SessionHandler`)."""

    def __init__(self, session: RealtimeSession) -> None:
        self._session = session
        self._lost = ""
        self._response_id = ""
        self._audio = bytearray()
        self._outcome: asyncio.Future[str]
        self._begin()
        session.bind(self)

    async def say(self, text: str) -> bytes:
        """Return *text* as mu-law.

        Raises:
            PhraseNotSpokenError: If the model does not speak it; the session is of no
                more use.
        """
        self._session.send(speak_phrase(text))
        try:
            async with asyncio.timeout(_SPEAK_TIMEOUT_S):
                outcome = await self._outcome
        except TimeoutError:
            raise PhraseNotSpokenError("not spoken in time") from None
        if outcome != "completed" or not self._audio:
            raise PhraseNotSpokenError(f"not spoken ({outcome})")
        audio = bytes(self._audio)
        self._begin()
        return audio

    def on_model_audio(self, response_id: str, item_id: str, audio: bytes) -> None:  # noqa: ARG002
        # A server may send more of a response that is done.
        if response_id == self._response_id and not self._outcome.done():
            self._audio += audio
            if len(self._audio) > MAX_PHRASE_BYTES:
                self._finish("too long")

    def on_event(self, event: ServerEvent) -> None:
        response = event.response
        if event.type == "error":
            self._finish("error")
        elif event.type == "response.created" and response:
            self._response_id = response.id or ""
        elif event.type == "response.done" and response:
            self._finish(response.status or "unknown")

    def on_session_closed(self, reason: str) -> None:
        self._lost = reason
        self._finish(reason)

    def _begin(self) -> None:
        self._response_id = ""
        self._audio.clear()
        self._outcome = asyncio.get_running_loop().create_future()
        if self._lost:
            self._finish(self._lost)

    def _finish(self, outcome: str) -> None:
        if not self._outcome.done():
            self._outcome.set_result(outcome)
