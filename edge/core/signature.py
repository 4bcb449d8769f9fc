"""Whether a request bears Twilio's signature for the URL we configured.

Twilio signs what it was told to call, so the URL is built from configuration and
never from Host or X-Forwarded-* headers. Ports are where implementations differ, so
the URL is tried with and without its default port, and encrypted ones without any.

Source: Twilio, "Security: validating requests are coming from Twilio".
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from urllib.parse import parse_qs, urlsplit, urlunsplit

__all__ = [
    "body_digest_matches",
    "compute_signature",
    "media_url_candidates",
    "signature_matches",
    "webhook_url_candidates",
]

_DEFAULT_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}
_SIGNED_WITHOUT_PORT = frozenset({"https", "wss"})
"""Schemes of which Twilio drops the port, whichever it is. It says so of ``https``;
what it does with ``wss`` is not documented, and our host is ours on any port."""


def compute_signature(
    key: str, url: str, parameters: Iterable[tuple[str, str]] = ()
) -> str:
    """Return the value of X-Twilio-Signature.

    Args:
        key: The account's auth token.
        url: The URL exactly as Twilio calls it, without its fragment.
        parameters: Decoded POST parameters; none for GET and for WebSockets.
    """
    # Twilio's own library signs each pair of name and value once, sorted.
    text = url + "".join(name + value for name, value in sorted(set(parameters)))
    mac = hmac.new(key.encode(), text.encode("utf-8", "surrogatepass"), hashlib.sha1)
    return base64.b64encode(mac.digest()).decode("ascii")


def signature_matches(
    given: str,
    *,
    keys: Sequence[str],
    candidates: Sequence[str],
    parameters: Iterable[tuple[str, str]] = (),
) -> bool:
    """Tell whether *given* signs one of *candidates* with one of *keys*.

    Every combination is computed and compared in constant time.
    """
    pairs = tuple(parameters)
    given_bytes = given.encode("utf-8", "surrogatepass")
    matched = False
    for key in keys:
        for url in candidates:
            wanted = compute_signature(key, url, pairs).encode("ascii")
            matched |= hmac.compare_digest(wanted, given_bytes)
    return matched


def webhook_url_candidates(base_url: str, target: str) -> tuple[str, ...]:
    """Return the URLs that may have been signed for a webhook.

    Args:
        base_url: The configured public URL, without a trailing slash.
        target: Path and query as received.
    """
    return tuple(base + target for base in _with_and_without_port(base_url))


def media_url_candidates(base_url: str, path: str) -> tuple[str, ...]:
    """Return the URLs that may have been signed for a Media Stream.

    Twilio says to try a trailing slash when the exact URL does not match.
    """
    path = path.rstrip("/")
    bases = _with_and_without_port(base_url)
    return tuple(base + path + end for end in ("", "/") for base in bases)


def body_digest_matches(query: str, body: bytes) -> bool:
    """Tell whether a JSON body fits the signed ``bodySHA256`` of the query."""
    given = parse_qs(query).get("bodySHA256", [])
    wanted = hashlib.sha256(body).hexdigest().encode("ascii")
    if len(given) != 1:
        return False
    return hmac.compare_digest(wanted, given[0].encode("utf-8", "surrogatepass"))


def _with_and_without_port(url: str) -> tuple[str, ...]:
    # Only ever given our own URL: what a peer appends to it may not parse.
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    default = _DEFAULT_PORTS[parts.scheme]
    if parts.port is None:
        other = f"{host}:{default}"
    elif parts.port == default or parts.scheme in _SIGNED_WITHOUT_PORT:
        other = host.rpartition(":")[0]
    else:
        return (url,)
    return (url, urlunsplit(parts._replace(netloc=other)))
