"""Sends spans to a collector, in the background and within bounds.

It works on the event loop, without a thread: a thread that encodes or compresses holds
the interpreter for milliseconds at a time, and frames of calls would wait for it.
Spans come here encoded, each at the end of what it tells; a batch is only put together.
"""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import aiohttp
import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from backhaul.core.backoff import Backoff
from backhaul.core.otlp import encode_export, encode_resource
from backhaul.core.trace import Attributes
from backhaul.otlp_target import OtlpTarget
from backhaul.tasks import TaskOwner
from backhaul.version import VERSION

__all__ = ["ExporterConfig", "SpanCollector", "SpanCounters", "SpanExporter"]

_SCOPE: Final = "warmline"
_ATTEMPTS: Final = 5
_RETRYABLE: Final = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
"""Answers after which a batch is sent again (OTLP specification, "OTLP/HTTP")."""
_MAX_ANSWER_BYTES: Final = 64 * 1024
_MAX_RETRY_AFTER_S: Final = 60.0
_FLUSH_S: Final = 2.0
"""How long what is left may take when the service stops (s)."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ExporterConfig:
    """Figures of the export."""

    interval_s: float = 1.0
    """From the first span that waits to its batch (s)."""
    timeout_s: float = 10.0
    """For the collector to take a batch (s)."""
    max_batch_bytes: int = 128 * 1024
    max_waiting_bytes: int = 4 * 1024 * 1024
    """Spans beyond it are dropped: about ten thousand."""
    retry_first_s: float = 1.0
    """Before the second attempt (s); it doubles up to ten times as much."""


@dataclass(slots=True)
class SpanCounters:
    """What became of spans."""

    exported: int = 0
    dropped: int = 0
    """No room, or no time when the service stopped."""
    failed: int = 0
    """Refused by the collector, or it could not be reached in five attempts."""


@dataclass(frozen=True, slots=True)
class _Refused:
    """A batch was not taken."""

    reason: str
    retryable: bool
    retry_after_s: float = 0.0


class SpanExporter:
    """Takes spans at once, and brings them to the collector when it can.

    Attributes:
        counters: What became of spans.
        waiting_bytes: What waits to be sent.
    """

    def __init__(
        self,
        target: OtlpTarget,
        resource: Attributes,
        *,
        rng: random.Random,
        config: ExporterConfig | None = None,
    ) -> None:
        """Take *resource*, who sends the spans; *rng* spreads retries."""
        self.counters = SpanCounters()
        self.waiting_bytes = 0
        self._target = target
        self._resource = encode_resource(resource)
        self._rng = rng
        self._config = config or ExporterConfig()
        first_s = self._config.retry_first_s
        self._backoff = Backoff(first_s=first_s, max_s=10 * first_s)
        self._waiting: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self._failing = False
        self._tasks = TaskOwner()

    def start(self) -> None:
        """Begin to send; needs a running event loop."""
        self._tasks.spawn(self._run(), name="traces")

    def offer(self, span: bytes) -> None:
        """Take one encoded span, or drop it when too many wait."""
        if self.waiting_bytes + len(span) > self._config.max_waiting_bytes:
            self.counters.dropped += 1
            return
        self._waiting.append(span)
        self.waiting_bytes += len(span)
        self._wake.set()

    async def aclose(self) -> None:
        """Send what is left, within limits."""
        self._closing.set()
        self._wake.set()
        await self._tasks.wait_idle(_FLUSH_S)
        await self._tasks.aclose()
        self.counters.dropped += len(self._waiting)
        self._waiting.clear()
        self.waiting_bytes = 0

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=self._config.timeout_s)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            while self._waiting or not self._closing.is_set():
                await self._wake.wait()
                await self._pause(self._config.interval_s)
                self._wake.clear()
                while self._waiting:
                    batch = self._take()
                    try:
                        await self._deliver(http, batch)
                    except asyncio.CancelledError:
                        self.counters.dropped += len(batch)
                        raise

    async def _pause(self, seconds: float) -> None:
        """Sleep, but not when the service stops."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()

    def _take(self) -> list[bytes]:
        batch = [self._waiting.popleft()]
        size = len(batch[0])
        while self._waiting and size < self._config.max_batch_bytes:
            batch.append(self._waiting.popleft())
            size += len(batch[-1])
        self.waiting_bytes -= size
        return batch

    async def _deliver(self, http: aiohttp.ClientSession, batch: list[bytes]) -> None:
        body = encode_export(self._resource, batch, scope=_SCOPE, version=VERSION)
        for attempt in range(1, _ATTEMPTS + 1):
            refused = await self._post(http, body)
            self._note(refused)
            if refused is None:
                self.counters.exported += len(batch)
                return
            if not refused.retryable or self._closing.is_set():
                break
            if attempt < _ATTEMPTS:
                wait_s = self._backoff.wait_s(attempt, rng=self._rng)
                await self._pause(max(wait_s, refused.retry_after_s))
        self.counters.failed += len(batch)

    async def _post(self, http: aiohttp.ClientSession, body: bytes) -> _Refused | None:
        headers = {**self._target.headers, "Content-Type": "application/x-protobuf"}
        try:
            async with http.post(
                self._target.url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                # Read to its end, so that the connection serves again.
                await answer.content.read(_MAX_ANSWER_BYTES)
                if answer.status == HTTPStatus.OK:
                    return None
                wait_s = _seconds(answer.headers.get("Retry-After", ""))
                retryable = answer.status in _RETRYABLE
                return _Refused(f"http_{answer.status}", retryable, wait_s)
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            return _Refused(type(exc).__name__, retryable=True)

    def _note(self, refused: _Refused | None) -> None:
        """Log that the collector fails or takes spans again, once each."""
        if refused is not None and not self._failing:
            _log.warning("traces.undelivered", reason=refused.reason)
        elif refused is None and self._failing:
            _log.info("traces.delivered_again")
        self._failing = refused is not None


def _seconds(retry_after: str) -> float:
    """Return what a Retry-After header asks for; dates count as nothing."""
    if not (retry_after.isascii() and retry_after.isdigit()):
        return 0.0
    return min(float(retry_after), _MAX_RETRY_AFTER_S)


class SpanCollector(Collector):
    """Prometheus metrics of the export."""

    def __init__(self, exporter: SpanExporter | None) -> None:
        """Read *exporter*; None: traces are off, and all is 0."""
        self._exporter = exporter

    def collect(self) -> Iterator[Metric]:
        """Return the present state as metric families."""
        exporter = self._exporter
        seen = SpanCounters() if exporter is None else exporter.counters
        spans = CounterMetricFamily(
            "trace_spans",
            "Spans by what became of them: exported, dropped (too many wait) or "
            "failed (the collector took them not).",
            labels=["outcome"],
        )
        spans.add_metric(["exported"], seen.exported)
        spans.add_metric(["dropped"], seen.dropped)
        spans.add_metric(["failed"], seen.failed)
        yield spans
        yield GaugeMetricFamily(
            "trace_waiting_bytes",
            "Spans that wait for the collector.",
            0 if exporter is None else exporter.waiting_bytes,
        )
