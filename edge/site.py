"""Where an edge is, and where the carrier reaches it."""

import re
from urllib.parse import urlsplit

import msgspec

from edge.core.geography import Point

__all__ = ["EdgeSite", "url_problems"]


class EdgeSite(msgspec.Struct, frozen=True):
    """Where an edge is, for all edges to know: part of its own table in the file."""

    public_url: str = ""
    media_url: str = ""
    latitude: float | None = None
    longitude: float | None = None

    @property
    def media_base_url(self) -> str:
        """The URL that stream URLs start with."""
        if self.media_url:
            return self.media_url.rstrip("/")
        return re.sub(r"^http", "ws", self.public_base_url)

    @property
    def public_base_url(self) -> str:
        """The public URL without a trailing slash."""
        return self.public_url.rstrip("/")

    @property
    def point(self) -> Point | None:
        """Where it is; None: it does not say."""
        if self.latitude is None or self.longitude is None:
            return None
        return Point(self.latitude, self.longitude)

    def problems(self) -> tuple[str, ...]:
        """Return one line per value that cannot be used."""
        found = [
            *url_problems("public_url", self.public_url, "https", "http"),
            *url_problems("media_url", self.media_base_url, "wss", "ws"),
        ]
        if (self.latitude is None) != (self.longitude is None):
            found.append("latitude and longitude: both or none")
        try:
            _ = self.point
        except ValueError as exc:
            found.append(f"latitude and longitude: {exc}")
        return tuple(found)


def url_problems(name: str, url: str, secure: str, plain: str) -> tuple[str, ...]:
    """Return what is wrong with *url*, one line for each problem.

    Args:
        name: Of the setting.
        url: Its value.
        secure: The scheme it needs.
        plain: The scheme that will do on this host.
    """
    try:
        parts = urlsplit(url)
        port_known = parts.port is None or parts.port > 0
    except ValueError:
        return (f"{name}: {url!r} is not a URL",)
    if parts.scheme not in {secure, plain} or not parts.hostname or not port_known:
        return (f"{name}: {url!r} is not a {secure}:// URL",)
    if parts.query or parts.fragment:
        return (f"{name}: must not have a query or fragment",)
    local = parts.hostname in {"127.0.0.1", "localhost", "::1"}
    if parts.scheme == plain and not local:
        return (f"{name}: Twilio needs {secure}:// for any host but this one",)
    return ()
