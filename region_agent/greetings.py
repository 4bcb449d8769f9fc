"""Greetings of profiles: read from recordings, and brought to the edges."""

import asyncio
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from backhaul.core.link import LinkState
from backhaul.core.messages import Greeting, Script
from backhaul.core.profile import Profile
from backhaul.errors import SettingsError
from backhaul.links import Link
from region_agent.core.wav import UnusableAudioError, mulaw_from_wav
from region_agent.phrases import MAX_PHRASE_BYTES, MAX_PHRASE_S

__all__ = ["push_greetings", "read_greetings"]

_PUSH_BACKLOG_BYTES = 1024 * 1024
"""Greetings wait while this much is unread: audio of calls would queue behind them."""
_PUSH_AGAIN_S = 0.02


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
            found[name] = Greeting(name, profile.opening, audio)
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
    if not 0 < len(audio) <= MAX_PHRASE_BYTES:
        raise UnusableAudioError(f"is empty or longer than {MAX_PHRASE_S} s")
    return audio


def push_greetings(link: Link, waiting: deque[Greeting | Script]) -> None:
    """Send as many of *waiting* as the link takes now, the rest as the peer reads."""
    if link.state is not LinkState.READY:
        return
    while waiting and link.backlog_bytes < _PUSH_BACKLOG_BYTES:
        link.send(waiting.popleft())
    if waiting:
        loop = asyncio.get_running_loop()
        loop.call_later(_PUSH_AGAIN_S, push_greetings, link, waiting)
