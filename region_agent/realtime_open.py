"""Opens Realtime sessions: connection, handshake, configuration."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlencode

from picows import WSError, WSHandshakeError

from backhaul.clock import unix_s
from backhaul.core.estimators import SmoothedMean
from backhaul.core.profile import Profile
from backhaul.errors import (
    RealtimeConnectError,
    RealtimeError,
    RealtimeRateLimitedError,
)
from backhaul.read_group import ReadGroup
from backhaul.settings import Secret
from backhaul.transports.upgrades import connect_together
from region_agent.core.realtime_protocol import update_session
from region_agent.core.session_pulse import PulseConfig
from region_agent.first_audio import FirstAudioWatch
from region_agent.realtime import (
    MAX_MESSAGE_BYTES,
    RealtimeCounters,
    RealtimeSession,
)

__all__ = ["RealtimeEndpoint", "open_session"]

_PING_AFTER_S: Final = 5.0
"""A dead peer is noticed after twice that (s); TCP alone would take a quarter of an
hour."""
_MAX_RETRY_AFTER_S: Final = 3600.0
_TOO_MANY_REQUESTS: Final = 429


@dataclass(frozen=True, slots=True)
class RealtimeEndpoint:
    """Where and how sessions are opened."""

    url: str
    model: str
    """Used by profiles that name none."""
    api_key: Secret
    reads: ReadGroup
    """Reads the sessions of calls."""
    headers: Mapping[str, Secret] = field(default_factory=dict[str, Secret])
    context: ssl.SSLContext | None = None
    """For wss; made once, since loading the trust store takes milliseconds."""
    open_timeout_s: float = 10.0
    """For each of: connection, session.created, session.updated (s)."""
    pulse: PulseConfig = field(default_factory=PulseConfig)
    """How soon a call leaves a session that answers nothing any more."""

    def url_for(self, profile: Profile) -> str:
        """Return the URL of a session of *profile*."""
        separator = "&" if "?" in self.url else "?"
        query = urlencode({"model": profile.model or self.model})
        return f"{self.url}{separator}{query}"


async def open_session(
    endpoint: RealtimeEndpoint,
    profile: Profile,
    counters: RealtimeCounters,
    *,
    first_audio: SmoothedMean | None = None,
    on_lost: Callable[[], None] | None = None,
) -> RealtimeSession:
    """Open a session and wait until it accepted the settings of *profile*.

    Args:
        endpoint: Where.
        profile: Instructions, voice and the like.
        counters: Where the session counts what passes.
        first_audio: Learns how long the model takes from a request to its first audio.
        on_lost: Called once when the session, having been opened, is lost.

    Raises:
        RealtimeConnectError: If any step fails or takes too long.
        RealtimeRateLimitedError: If the server asks to slow down.
    """
    watch = FirstAudioWatch(first_audio or SmoothedMean())
    session = RealtimeSession(counters, watch, endpoint.pulse, join=endpoint.reads.join)
    timeout_s = endpoint.open_timeout_s
    try:
        await _connect(session, endpoint, profile)
        created = await session.answer(timeout_s)
        session.expect("session.updated")
        session.send(update_session(profile))
        await session.answer(timeout_s)
        session.adopt(created, on_lost)
    except BaseException:
        session.close()
        raise
    return session


async def _connect(
    session: RealtimeSession, endpoint: RealtimeEndpoint, profile: Profile
) -> None:
    headers = {name: value.reveal() for name, value in endpoint.headers.items()}
    headers["Authorization"] = f"Bearer {endpoint.api_key.reveal()}"
    timeout_s = endpoint.open_timeout_s
    try:
        async with asyncio.timeout(timeout_s):
            await connect_together(
                endpoint.reads,
                session,
                endpoint.url_for(profile),
                context=endpoint.context,
                headers=headers,
                handshake_timeout_s=timeout_s,
                max_message_bytes=MAX_MESSAGE_BYTES,
                ping_after_s=_PING_AFTER_S,
            )
    except TimeoutError:
        raise RealtimeConnectError(f"no connection within {timeout_s:g} s") from None
    except WSHandshakeError as exc:
        raise _refusal(exc) from None  # the cause holds the server's answer
    except WSError:
        raise RealtimeConnectError("WebSocket handshake failed") from None
    except OSError as exc:
        raise RealtimeConnectError(exc.strerror or type(exc).__name__) from exc
    if not session.connected:
        # A server that hangs up in the handshake is no error to picows.
        raise RealtimeConnectError("closed during the handshake")


def _refusal(exc: WSHandshakeError) -> RealtimeError:
    if exc.response is None:
        return RealtimeConnectError("WebSocket handshake failed")
    status = int(exc.response.status)
    if status == _TOO_MANY_REQUESTS:
        return RealtimeRateLimitedError(
            _retry_after_s(exc.response.headers.get("Retry-After", ""))
        )
    return RealtimeConnectError(f"HTTP {status}")


def _retry_after_s(header: str) -> float | None:
    """Return the wait (s) in a Retry-After header: seconds or a date (RFC 9110)."""
    if header.isascii() and header.isdigit():
        return min(float(header), _MAX_RETRY_AFTER_S)
    try:
        wait_s = parsedate_to_datetime(header).timestamp() - unix_s()
    except (ValueError, OverflowError):
        return None
    return min(max(wait_s, 0.0), _MAX_RETRY_AFTER_S)
