"""Greetings ready to play: from a recording, or spoken once by the model itself."""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from backhaul.core.backoff import Backoff
from backhaul.core.g711 import MULAW_RATE_HZ
from backhaul.core.link import LinkState
from backhaul.core.messages import Greeting
from backhaul.core.profile import Profile
from backhaul.errors import (
    RealtimeConnectError,
    RealtimeError,
    RealtimeRateLimitedError,
    SettingsError,
)
from backhaul.links import Link
from backhaul.tasks import TaskOwner
from region_agent.core.realtime_protocol import create_response, say_exactly
from region_agent.core.wav import UnusableAudioError, mulaw_from_wav
from region_agent.realtime import RealtimeCounters
from region_agent.realtime_open import RealtimeEndpoint, open_session

__all__ = ["MAX_GREETING_S", "Greetings", "push_greetings", "read_greetings"]

MAX_GREETING_S = 30
"""Longest greeting (s); one frame on a link carries it."""

_MAX_BYTES = MAX_GREETING_S * MULAW_RATE_HZ
_RENDER_TIMEOUT_S = 60.0
_PUSH_BACKLOG_BYTES = 1024 * 1024
"""Greetings wait while this much is unread: audio of calls would queue behind them."""
_PUSH_AGAIN_S = 0.02

_log = structlog.get_logger()


def read_greetings(
    profiles: Mapping[str, Profile], directory: Path
) -> dict[str, Greeting]:
    """Return the recorded greetings by profile.

    Args:
        profiles: Those with a ``greeting_file`` have a recording.
        directory: Where relative paths start.

    Raises:
        SettingsError: With one line per recording that cannot be used.
    """
    problems: list[str] = []
    found: dict[str, Greeting] = {}
    for name, profile in profiles.items():
        if not profile.greeting_file:
            continue
        try:
            audio = _read_recording(directory / profile.greeting_file)
        except OSError as exc:
            reason = exc.strerror or "cannot be read"
        except UnusableAudioError as exc:
            reason = f"{exc}; use 8 kHz mono mu-law or 16-bit PCM"
        else:
            found[name] = Greeting(name, profile.greeting, audio)
            continue
        problems.append(
            f"profiles.{name}.greeting_file: {profile.greeting_file} {reason}"
        )
    if problems:
        raise SettingsError(tuple(problems))
    return found


def _read_recording(path: Path) -> bytes:
    data = path.read_bytes()
    audio = data if path.suffix in {".ulaw", ".ul"} else mulaw_from_wav(data)
    if not 0 < len(audio) <= _MAX_BYTES:
        raise UnusableAudioError(f"is empty or longer than {MAX_GREETING_S} s")
    return audio


def push_greetings(link: Link, waiting: deque[Greeting]) -> None:
    """Send as many of *waiting* as the link takes now, the rest as the peer reads."""
    if link.state is not LinkState.READY:
        return
    while waiting and link.backlog_bytes < _PUSH_BACKLOG_BYTES:
        link.send(waiting.popleft())
    if waiting:
        loop = asyncio.get_running_loop()
        loop.call_later(_PUSH_AGAIN_S, push_greetings, link, waiting)


class Greetings:
    """The greetings of all profiles; those without a recording get rendered."""

    def __init__(
        self,
        profiles: Mapping[str, Profile],
        recorded: Mapping[str, Greeting],
        *,
        endpoint: RealtimeEndpoint,
        counters: RealtimeCounters,
        on_ready: Callable[[Greeting], None],
        rng: random.Random,
    ) -> None:
        self.ready: dict[str, Greeting] = dict(recorded)
        self._profiles = profiles
        self._endpoint = endpoint
        self._counters = counters
        self._on_ready = on_ready
        self._rng = rng
        self._backoff = Backoff(first_s=0.5, max_s=30.0)
        self._tasks = TaskOwner()

    def start(self) -> None:
        """Begin to render what has no recording."""
        for name, profile in self._profiles.items():
            if profile.greeting and name not in self.ready:
                self._tasks.spawn(self._keep_trying(name), name=f"greeting:{name}")

    def missing(self) -> list[str]:
        """Return the profiles whose greeting is not rendered yet."""
        return [
            name
            for name, profile in self._profiles.items()
            if profile.greeting and name not in self.ready
        ]

    async def aclose(self) -> None:
        """Stop rendering."""
        await self._tasks.aclose()

    async def _keep_trying(self, name: str) -> None:
        profile = self._profiles[name]
        failures = 0
        while True:
            try:
                audio = await self._render(profile)
            except RealtimeError as exc:
                failures += 1
                _log.warning("greeting.render_failed", profile=name, code=exc.code)
                wait_s = self._backoff.wait_s(failures, rng=self._rng)
                if isinstance(exc, RealtimeRateLimitedError):
                    wait_s = max(wait_s, exc.retry_after_s or 0.0)
                await asyncio.sleep(wait_s)
            else:
                greeting = Greeting(name, profile.greeting, audio)
                self.ready[name] = greeting
                _log.info("greeting.rendered", profile=name, audio_bytes=len(audio))
                self._on_ready(greeting)
                return

    async def _render(self, profile: Profile) -> bytes:
        session = await open_session(self._endpoint, profile, self._counters)
        recorder = _Recorder()
        session.bind(recorder)
        session.send(create_response(say_exactly(profile.greeting)))
        try:
            async with asyncio.timeout(_RENDER_TIMEOUT_S):
                status = await recorder.done
        except TimeoutError:
            raise RealtimeConnectError("greeting was not spoken in time") from None
        finally:
            session.close()
        if status != "completed" or not 0 < len(recorder.audio) <= _MAX_BYTES:
            raise RealtimeConnectError(f"greeting was not spoken ({status})")
        return bytes(recorder.audio)


class _Recorder:
    """Keeps what the model says (`SessionHandler`)."""

    def __init__(self) -> None:
        self.audio = bytearray()
        self.done: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def on_model_audio(self, response_id: str, audio: bytes) -> None:  # noqa: ARG002
        if len(self.audio) <= _MAX_BYTES:
            self.audio += audio

    def on_speech_started(self) -> None:
        pass

    def on_response_created(self, response_id: str) -> None:
        pass

    def on_response_done(self, response_id: str, status: str) -> None:  # noqa: ARG002
        self._finish(status)

    def on_caller_transcript(self, item_id: str, text: str) -> None:
        pass

    def on_model_transcript(self, item_id: str, text: str) -> None:
        pass

    def on_session_closed(self, reason: str) -> None:
        self._finish(reason)

    def _finish(self, outcome: str) -> None:
        if not self.done.done():
            self.done.set_result(outcome)
