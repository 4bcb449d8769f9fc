"""Whether a request comes from the carrier, and from which account."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from aiohttp import web

from edge.core.signature import (
    body_digest_matches,
    signature_matches,
    webhook_url_candidates,
)
from edge.settings import EdgeSettings

__all__ = ["Authentication"]

_MAX_PARAMETERS = 200


class Authentication:
    """Checks the signatures of requests."""

    def __init__(self, settings: EdgeSettings) -> None:
        self._settings = settings
        shared = settings.shared_url.rstrip("/")
        self._urls = (settings.public_base_url, *((shared,) if shared else ()))
        self._keys = tuple(key.reveal() for key in settings.twilio_auth_tokens)

    def parameters(self, request: web.Request, body: bytes) -> dict[str, str] | None:
        """Return the parameters of a request, None if they are not signed."""
        pairs: tuple[tuple[str, str], ...] = ()
        if not request.raw_path.startswith("/"):
            return None  # a proxy's request form; the path would not be ours
        if request.content_type == "application/x-www-form-urlencoded":
            try:
                pairs = tuple(
                    parse_qsl(
                        body.decode("ascii"),
                        keep_blank_values=True,
                        max_num_fields=_MAX_PARAMETERS,
                    )
                )
            except ValueError:
                return None
        elif body and not body_digest_matches(request.query_string, body):
            return None
        matched = signature_matches(
            request.headers.get("X-Twilio-Signature", ""),
            keys=self._keys,
            candidates=[
                candidate
                for url in self._urls
                for candidate in webhook_url_candidates(url, request.raw_path)
            ],
            parameters=pairs,
        )
        return dict(pairs) if matched else None

    def account_matches(self, parameters: Mapping[str, str]) -> bool:
        """Tell whether a request is about a call of the configured account."""
        wanted = self._settings.account_sid
        return not wanted or parameters.get("AccountSid") == wanted
