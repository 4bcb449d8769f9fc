"""Delivers the events of calls in the background; no call ever waits for it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

import structlog

from backhaul.core.profile import EventFeed, Profile
from backhaul.driver import LoopDriver
from backhaul.errors import SettingsError
from backhaul.tasks import TaskOwner
from region_agent.core.call_events import (
    CallEnded,
    CallEvent,
    encode_event,
    without_words,
)
from region_agent.core.outbox import (
    BatchDelivered,
    BatchFailed,
    Closing,
    FailingChanged,
    Outbox,
    OutboxAction,
    OutboxConfig,
    OutboxEvent,
    Published,
    SendBatch,
)
from region_agent.event_sinks import (
    WEBHOOK_TIMEOUT_S,
    EventSink,
    EventSinkError,
    RedisSink,
    StoreGetter,
    WebhookSink,
)

__all__ = ["EventFeeds", "FeedCounters"]

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class FeedCounters:
    """What became of the events for one destination."""

    published: int
    """What calls told; each event is delivered, dropped or waiting."""
    delivered: int
    dropped: int
    """Given up: it was too large, or too many waited."""
    failed_batches: int
    waiting: int
    waiting_bytes: int
    failing: bool
    """Whether the last try failed."""


class EventFeeds:
    """The event feeds of an agent's profiles; one outbox for each destination.

    Raises:
        SettingsError: If a webhook's URL or headers cannot be used.
    """

    def __init__(
        self,
        profiles: Mapping[str, Profile],
        *,
        store: StoreGetter,
        environ: Mapping[str, str],
        rng: Random,
        config: OutboxConfig | None = None,
        webhook_timeout_s: float = WEBHOOK_TIMEOUT_S,
    ) -> None:
        """Prepare the destinations.

        Args:
            profiles: Those with `events` have a feed.
            store: Returns the region's store once it is open.
            environ: Holds what ``${NAME}`` in a header stands for.
            rng: Spreads retries and names batches.
            config: Figures of each outbox.
            webhook_timeout_s: For one batch (s).
        """
        self._feeds: dict[str, tuple[EventFeed, _Destination]] = {}
        self._destinations: dict[str, _Destination] = {}
        known: dict[tuple[str, frozenset[tuple[str, str]]], _Destination] = {}
        for name, profile in profiles.items():
            feed = profile.events
            if feed is None:
                continue
            address = (feed.to, frozenset(feed.headers.items()))
            if address not in known:
                sink = _sink(name, feed, store, environ, webhook_timeout_s)
                outbox = Outbox(config or OutboxConfig(), rng=rng)
                known[address] = _Destination(name, sink, outbox, rng=rng)
                self._destinations[name] = known[address]
            self._feeds[name] = (feed, known[address])

    def start(self) -> None:
        """Begin to deliver; call it on the event loop, before the first call."""
        for destination in self._destinations.values():
            destination.start()

    def publish(self, event: CallEvent) -> None:
        """Send *event* where its profile wants it, if anywhere; returns at once.

        The record of a call's end takes everything with it that still waits.
        """
        feed, destination = self._feeds.get(event.profile, (None, None))
        if feed is None or destination is None:
            return
        told = event if feed.transcripts else without_words(event)
        if told is not None:
            is_summary = isinstance(told, CallEnded)
            destination.publish(Published(encode_event(told), is_summary=is_summary))

    def counters(self) -> dict[str, FeedCounters]:
        """Return the counters of each destination, by the first profile it is of."""
        return {name: where.counters() for name, where in self._destinations.items()}

    async def aclose(self, *, timeout_s: float) -> None:
        """Deliver what waits, for *timeout_s* seconds at most, and close."""
        async with asyncio.TaskGroup() as group:
            for name, destination in self._destinations.items():
                group.create_task(destination.aclose(timeout_s), name=f"feed:{name}")


def _sink(
    name: str,
    feed: EventFeed,
    store: StoreGetter,
    environ: Mapping[str, str],
    webhook_timeout_s: float,
) -> EventSink:
    if feed.to == "redis":
        return RedisSink(store)
    try:
        return WebhookSink(feed, environ=environ, timeout_s=webhook_timeout_s)
    except SettingsError as exc:
        lines = tuple(f"profiles.{name}.{line}" for line in exc.problems)
        raise SettingsError(lines) from None


class _Destination:
    """One outbox and the sink that its batches go to."""

    def __init__(
        self, name: str, sink: EventSink, outbox: Outbox, *, rng: Random
    ) -> None:
        self._name = name
        self._sink = sink
        self._outbox = outbox
        # Batches of other processes and of earlier runs must not have our keys.
        self._key_prefix = f"{rng.getrandbits(96):024x}"
        self._tasks = TaskOwner()
        self._driver: LoopDriver[OutboxEvent, OutboxAction] | None = None
        self._emptied = asyncio.Event()

    def start(self) -> None:
        self._driver = LoopDriver(self._outbox, self._perform)

    def publish(self, event: Published) -> None:
        self._feed(event)

    def counters(self) -> FeedCounters:
        outbox = self._outbox
        return FeedCounters(
            published=outbox.published,
            delivered=outbox.delivered,
            dropped=outbox.dropped,
            failed_batches=outbox.failed_batches,
            waiting=len(outbox),
            waiting_bytes=outbox.kept_bytes,
            failing=outbox.failing,
        )

    async def aclose(self, timeout_s: float) -> None:
        self._feed(Closing())
        try:
            async with asyncio.timeout(timeout_s):
                await self._emptied.wait()
        except TimeoutError:
            _log.warning("feed.given_up", feed=self._name, events=len(self._outbox))
        finally:
            if self._driver is not None:
                self._driver.close()
            await self._tasks.aclose()
            await self._sink.aclose()

    def _feed(self, event: OutboxEvent) -> None:
        if self._driver is not None:
            self._driver.feed(event)
        if len(self._outbox):
            self._emptied.clear()
        else:
            self._emptied.set()

    def _perform(self, action: OutboxAction) -> None:
        match action:
            case SendBatch():
                name = f"feed:{self._name}:{action.number}"
                self._tasks.spawn(self._send(action), name=name)
            case FailingChanged(failing=True, reason=reason):
                _log.warning("feed.failing", feed=self._name, reason=reason)
            case FailingChanged():
                dropped = self._outbox.dropped
                _log.info("feed.recovered", feed=self._name, dropped=dropped)

    async def _send(self, batch: SendBatch) -> None:
        # Whatever happens, the outbox must learn that this try is over.
        outcome: OutboxEvent = BatchFailed(batch.number, "internal_error")
        try:
            key = f"{self._key_prefix}-{batch.number}"
            await self._sink.send(batch.events, key=key)
            outcome = BatchDelivered(batch.number)
        except EventSinkError as exc:
            outcome = BatchFailed(batch.number, exc.reason)
        finally:
            self._feed(outcome)
