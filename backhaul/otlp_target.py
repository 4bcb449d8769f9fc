"""Where traces go: what the settings and OpenTelemetry's own variables say of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import unquote, urlsplit

from backhaul.settings import Secret

__all__ = ["OTEL_VARIABLES", "OtlpTarget", "target_problems"]

OTEL_VARIABLES: Final = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "otlp_endpoint",
    "OTEL_EXPORTER_OTLP_HEADERS": "otlp_headers",
    "OTEL_TRACES_SAMPLER_ARG": "trace_ratio",
}
"""OpenTelemetry's own variables, and the settings that they feed."""

_PATH: Final = "/v1/traces"


@dataclass(frozen=True, slots=True)
class OtlpTarget:
    """A collector that takes OTLP over HTTP."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    @classmethod
    def of(cls, endpoint: str, headers: Secret) -> Self | None:
        """Return the collector that the settings name, None without one.

        Source: OpenTelemetry specification, "OTLP Exporter Configuration".
        """
        if not endpoint:
            return None
        return cls(endpoint.rstrip("/") + _PATH, _headers(headers.reveal()))


def _headers(text: str) -> dict[str, str]:
    pairs = (item.partition("=") for item in text.split(",") if item.strip())
    return {name.strip(): unquote(value.strip()) for name, _, value in pairs}


def target_problems(endpoint: str, headers: Secret) -> tuple[str, ...]:
    """Return one line per value that cannot be used; none quotes a header."""
    found: list[str] = []
    if endpoint and not _is_url(endpoint):
        found.append(f"otlp_endpoint: {endpoint!r} is not an http(s):// URL")
    if not all(
        name.isascii() and name.isprintable() and " " not in name and name
        for name in _headers(headers.reveal())
    ):
        found.append("otlp_headers: not name=value, separated by commas")
    if not all(
        value.isascii() and value.isprintable() and value
        for value in _headers(headers.reveal()).values()
    ):
        found.append("otlp_headers: a value is not one that a header can have")
    return tuple(found)


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port_known = parts.port is None or parts.port > 0
    except ValueError:
        return False
    plain = not (parts.query or parts.fragment)
    known = parts.scheme in {"http", "https"}
    return known and bool(parts.hostname) and port_known and plain
