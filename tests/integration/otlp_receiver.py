"""A collector: takes OTLP over HTTP, decoded by OpenTelemetry's own classes."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Status
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan


@dataclass(frozen=True)
class ReceivedSpan:
    """One span, and who sent it."""

    service: str
    resource: dict[str, Any]
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    links: tuple[str, ...]
    error: str
    flags: int

    @property
    def duration_ms(self) -> float:
        return (self.end_ns - self.start_ns) / 1e6


@dataclass
class OtlpReceiver:
    """Listens on loopback while it is entered; misbehaves when told to."""

    status: int = 200
    retry_after: str = ""
    hangs: bool = False
    requests: int = 0
    headers: list[dict[str, str]] = field(default_factory=list)
    spans: list[ReceivedSpan] = field(default_factory=list)
    connections: set[object] = field(default_factory=set)
    endpoint: str = ""

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=1 << 26)
        application.router.add_post("/v1/traces", self._take)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.endpoint = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def named(self, name: str) -> list[ReceivedSpan]:
        return [span for span in self.spans if span.name == name]

    async def _take(self, request: web.Request) -> web.Response:
        self.requests += 1
        self.headers.append(dict(request.headers))
        self.connections.add(request.transport)
        if self.hangs:
            await asyncio.sleep(3600)
        if self.status != 200:
            return web.Response(
                status=self.status, headers={"Retry-After": self.retry_after}
            )
        export = ExportTraceServiceRequest.FromString(await request.read())
        for resource in export.resource_spans:
            self.spans += spans_of(resource)
        return web.Response(
            body=ExportTraceServiceResponse().SerializeToString(),
            content_type="application/x-protobuf",
        )


def spans_of(sent: ResourceSpans) -> list[ReceivedSpan]:
    resource = attributes_of(sent.resource.attributes)
    service = str(resource["service.name"])
    return [
        received(span, service, resource)
        for library in sent.scope_spans
        for span in library.spans
    ]


def received(span: WireSpan, service: str, resource: dict[str, Any]) -> ReceivedSpan:
    failed = span.status.code == Status.STATUS_CODE_ERROR
    return ReceivedSpan(
        service=service,
        resource=resource,
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        kind=span.kind,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        attributes=attributes_of(span.attributes),
        links=tuple(link.span_id.hex() for link in span.links),
        error=span.status.message if failed else "",
        flags=span.flags,
    )


def attributes_of(pairs: Any) -> dict[str, Any]:
    def plain(value: AnyValue) -> Any:
        kind = value.WhichOneof("value")
        if kind == "array_value":
            return [plain(one) for one in value.array_value.values]
        return getattr(value, kind or "")

    found: list[KeyValue] = list(pairs)
    return {one.key: plain(one.value) for one in found}
