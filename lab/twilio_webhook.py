"""Asks a customer's server for TwiML the way Twilio does: signed and impatient."""

import asyncio
import ssl
import uuid
from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import urlencode, urlsplit

import aiohttp
from twilio.request_validator import RequestValidator
from yarl import URL

from backhaul.errors import TwilioError
from lab.twiml import MAX_TWIML_BYTES

__all__ = ["WebhookClient", "WebhookError", "signed_url"]

_CONNECT_TIMEOUT_S = 5.0
_TOTAL_TIMEOUT_S = 15.0
"""Twilio's defaults for `ct` and for `rt` and `tt`."""
_HTTP_FAILURE, _CONNECT_FAILURE, _CONTENT_TYPE = 11200, 11205, 12300
_CONNECT_ERRORS = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_OK = range(200, 300)
_XML_TYPES = frozenset({"text/xml", "application/xml", "text/html"})


class WebhookError(TwilioError):
    """A webhook gave no usable answer.

    Attributes:
        twilio_code: 11200 HTTP failure, 11205 connect failure, 12300 content type.
    """

    code: ClassVar[str] = "webhook_failed"

    def __init__(self, twilio_code: int, reason: str) -> None:
        super().__init__(f"{twilio_code}: {reason}")
        self.twilio_code = twilio_code
        self.reason = reason


def signed_url(url: str) -> str:
    """Return *url* as Twilio signs it.

    Without fragment and user info; an explicit port is dropped for HTTPS only.
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    if parts.scheme == "https" and parts.port is not None:
        host = host.removesuffix(f":{parts.port}")
    return parts._replace(netloc=host, fragment="").geturl()


class WebhookClient:
    """Sends signed webhooks, each over its own connection."""

    def __init__(self, auth_token: str, *, ssl_context: ssl.SSLContext | None) -> None:
        connector = aiohttp.TCPConnector(
            limit=0, force_close=True, ssl=True if ssl_context is None else ssl_context
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(
                total=_TOTAL_TIMEOUT_S, sock_connect=_CONNECT_TIMEOUT_S
            ),
            headers={"User-Agent": "TwilioProxy/1.1", "Accept": "*/*"},
        )
        self._validator = RequestValidator(auth_token)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._session.close()

    def signature(self, url: str, parameters: Mapping[str, str] | None = None) -> str:
        """Return the X-Twilio-Signature for *url*, which is signed as it is."""
        sign = self._validator.compute_signature  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        signature: str = sign(url, parameters or {})
        return signature

    async def fetch(
        self, url: str, method: str, parameters: Mapping[str, str]
    ) -> bytes:
        """Return the TwiML that *url* answers with.

        Raises:
            WebhookError: No connection in two attempts, no answer in 15 s, an HTTP
                status other than 2xx, or a body that is too long or not XML.
        """
        content_type, body = await self._send(url, method, parameters)
        if content_type not in _XML_TYPES:
            raise WebhookError(_CONTENT_TYPE, content_type)
        return body

    async def notify(
        self, url: str, method: str, parameters: Mapping[str, str]
    ) -> None:
        """Tell *url* about an event; its answer is read and dropped.

        Raises:
            WebhookError: As for `fetch`, except that any content type will do.
        """
        await self._send(url, method, parameters)

    async def _send(
        self, url: str, method: str, parameters: Mapping[str, str]
    ) -> tuple[str, bytes]:
        try:
            async with asyncio.timeout(_TOTAL_TIMEOUT_S):
                return await self._send_twice(url, method, parameters)
        except _CONNECT_ERRORS as exc:
            raise WebhookError(_CONNECT_FAILURE, str(exc)) from None
        except TimeoutError:
            reason = f"no answer in {_TOTAL_TIMEOUT_S:g} s"
            raise WebhookError(_HTTP_FAILURE, reason) from None
        except (aiohttp.ClientError, ValueError) as exc:
            raise WebhookError(_HTTP_FAILURE, f"{type(exc).__name__}: {exc}") from None

    async def _send_twice(
        self, url: str, method: str, parameters: Mapping[str, str]
    ) -> tuple[str, bytes]:
        """Send, and send once more only when no connection came about."""
        token = str(uuid.uuid4())
        try:
            return await self._exchange(url, method, parameters, token)
        except _CONNECT_ERRORS:
            return await self._exchange(url, method, parameters, token)

    async def _exchange(
        self, url: str, method: str, parameters: Mapping[str, str], token: str
    ) -> tuple[str, bytes]:
        form = dict(parameters) if method == "POST" else None
        if method == "GET":
            parts = urlsplit(url)
            query = "&".join(filter(None, (parts.query, urlencode(parameters))))
            url = parts._replace(query=query).geturl()
        headers = {
            "I-Twilio-Idempotency-Token": token,
            "X-Twilio-Signature": self.signature(signed_url(url), form),
        }
        target = URL(url, encoded=True).with_fragment(None)
        async with self._session.request(
            method, target, data=form, headers=headers, allow_redirects=False
        ) as response:
            body = await _read(response)
            if response.status not in _OK:
                raise WebhookError(_HTTP_FAILURE, f"HTTP status {response.status}")
            return response.content_type, body


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(8192):
        body += chunk
        if len(body) > MAX_TWIML_BYTES:
            raise WebhookError(_HTTP_FAILURE, f"longer than {MAX_TWIML_BYTES} bytes")
    return bytes(body)
