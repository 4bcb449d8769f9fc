"""Where events go: a webhook, or the stream of the region's Redis."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Final, Protocol

import aiohttp
from yarl import URL

from backhaul.core.profile import EventFeed
from backhaul.errors import SettingsError, StoreError, WarmlineError
from backhaul.store import Store
from region_agent.environment import expand_headers

__all__ = [
    "WEBHOOK_TIMEOUT_S",
    "EventSink",
    "EventSinkError",
    "RedisSink",
    "StoreGetter",
    "WebhookSink",
]

WEBHOOK_TIMEOUT_S: Final = 10.0
"""For one batch (s); a server should acknowledge first and work afterwards."""

StoreGetter = Callable[[], Store | None]
"""Returns the region's store, None as long as it has not been opened."""


class EventSinkError(WarmlineError):
    """A batch of events was not acknowledged."""

    code = "event_sink_failed"
    retryable = True

    def __init__(self, reason: str) -> None:
        super().__init__(f"events were not acknowledged: {reason}")
        self.reason = reason


class EventSink(Protocol):
    """One destination."""

    async def send(self, events: Sequence[bytes], *, key: str) -> None:
        """Deliver *events*, each one JSON object.

        Args:
            events: The batch.
            key: Names it; a batch that is sent again has the same one.

        Raises:
            EventSinkError: If it was not acknowledged in time.
        """
        ...

    async def aclose(self) -> None:
        """Close what is open."""
        ...


class RedisSink:
    """Appends to the stream of events of the region's Redis."""

    def __init__(self, store: StoreGetter) -> None:
        self._store = store

    async def send(self, events: Sequence[bytes], *, key: str) -> None:  # noqa: ARG002
        """Append *events*, all or none of them; see `EventSink.send`."""
        store = self._store()
        if store is None:
            raise EventSinkError("the store is not open yet")
        try:
            await store.append_events(events)
        except StoreError as exc:
            raise EventSinkError(exc.reason) from exc

    async def aclose(self) -> None:
        """Leave the store to its owner."""


class WebhookSink:
    """Posts ``{"events": [...]}`` to a URL; any 2xx acknowledges.

    The operator chose the URL, so it may be a private one; a redirect is not theirs
    and is not followed.

    Raises:
        SettingsError: If the URL or a header cannot be used.
    """

    def __init__(
        self,
        feed: EventFeed,
        *,
        environ: Mapping[str, str],
        timeout_s: float = WEBHOOK_TIMEOUT_S,
    ) -> None:
        try:
            self._url = URL(feed.to)
        except ValueError:
            raise SettingsError(("events.to: not a usable URL",)) from None
        self._headers, problems = expand_headers(feed.headers, environ)
        if problems:
            raise SettingsError(tuple(f"events.{line}" for line in problems))
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def send(self, events: Sequence[bytes], *, key: str) -> None:
        """Post *events* as one request; see `EventSink.send`."""
        try:
            status = await self._post(b'{"events":[' + b",".join(events) + b"]}", key)
        except (aiohttp.ClientError, OSError, TimeoutError) as exc:
            # The cause may name the URL, and that may hold a secret.
            raise EventSinkError(type(exc).__name__) from None
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise EventSinkError(f"HTTP {status}")

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _post(self, body: bytes, key: str) -> int:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers={name: value.reveal() for name, value in self._headers.items()},
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        # aiohttp's own timeout ends with the answer, which may come before the server
        # has read the request: this one covers that too.
        async with (
            asyncio.timeout(self._timeout_s),
            self._session.post(
                self._url, data=body, headers=headers, allow_redirects=False
            ) as response,
        ):
            return response.status
