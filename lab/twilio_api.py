"""A stand-in for the part of Twilio's REST API that keeps numbers' settings.

Shapes are those of api.twilio.com, version 2010-04-01. It is as strict as the real one
where that is known: Regions keep settings and credentials of their own, lists come in
pages, and a request that is not understood changes nothing.
"""

import asyncio
import base64
import hmac
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode, urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from backhaul.http import HttpListener

__all__ = ["TwilioApi", "TwilioApiRegion", "TwilioApiRequest"]

_HOSTS: Final[Mapping[str, str]] = {
    "api.twilio.com": "us1",
    "api.ashburn.us1.twilio.com": "us1",
    "api.dublin.ie1.twilio.com": "ie1",
    "api.sydney.au1.twilio.com": "au1",
}
_URLS: Final = {
    "VoiceUrl": "voice_url",
    "VoiceFallbackUrl": "voice_fallback_url",
    "StatusCallback": "status_callback",
}
_METHODS: Final = {
    "VoiceMethod": "voice_method",
    "VoiceFallbackMethod": "voice_fallback_method",
    "StatusCallbackMethod": "status_callback_method",
}
_OTHERS: Final = {
    "VoiceApplicationSid": "voice_application_sid",
    "TrunkSid": "trunk_sid",
    "VoiceReceiveMode": "voice_receive_mode",
    "FriendlyName": "friendly_name",
}
_MAX_PAGE_SIZE: Final = 1000


@dataclass(slots=True)
class TwilioApiRegion:
    """What one Region knows of the account."""

    credentials: dict[str, str]
    """By API key or account SID: the secret or token."""
    numbers: dict[str, dict[str, object]] = field(
        default_factory=dict[str, dict[str, object]]
    )
    """By SID."""


@dataclass(frozen=True, slots=True)
class TwilioApiRequest:
    """One request as it came."""

    region: str
    method: str
    path: str
    form: dict[str, str]


class TwilioApi:
    """Answers requests about one account.

    Attributes:
        regions: Change them as you like.
        requests: All that came, the refused included.
        failures: HTTP statuses to answer the next requests with; 0: never answer.
        forgets: Settings whose changes are taken and not kept.
    """

    def __init__(
        self, account_sid: str, *, regions: Mapping[str, TwilioApiRegion]
    ) -> None:
        self.regions = dict(regions)
        self.requests: list[TwilioApiRequest] = []
        self.failures: deque[int] = deque()
        self.forgets: set[str] = set()
        self._account_sid = account_sid
        self._path = f"/2010-04-01/Accounts/{account_sid}/IncomingPhoneNumbers"
        self._closing = asyncio.Event()
        application = web.Application(middlewares=[self._guard])
        application.router.add_get(self._path + ".json", self._list)
        application.router.add_get(self._path + "/{sid}.json", self._show)
        application.router.add_post(self._path + "/{sid}.json", self._update)
        self._listener = HttpListener(application)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._listener.port}"

    def add_number(self, region: str, number: str, **settings: object) -> str:
        """Let *region* have *number* with *settings*; return its SID."""
        numbers = self.regions[region].numbers
        sid = f"PN{len(numbers) + 1:032x}"
        numbers[sid] = _new_number(self._account_sid, sid, number) | settings
        return sid

    async def start(self) -> None:
        """Begin to listen, on loopback."""
        await self._listener.start("127.0.0.1", 0)

    async def aclose(self) -> None:
        """Stop listening."""
        self._closing.set()
        await self._listener.aclose()

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        region = _HOSTS.get(request.host, "")
        form = {key: str(value) for key, value in (await request.post()).items()}
        self.requests.append(
            TwilioApiRequest(region, request.method, request.path, form)
        )
        if self.failures:
            return await self._fail(self.failures.popleft())
        if region not in self.regions:
            return _error(404, 20404, f"{request.host} is not a host of Twilio's")
        if not self._knows(region, request.headers.get("Authorization", "")):
            return _error(401, 20003, "Authenticate")
        try:
            return await handler(request)
        except web.HTTPNotFound:
            return _error(404, 20404, "The requested resource was not found")

    async def _fail(self, status: int) -> web.Response:
        if not status:
            await self._closing.wait()
        code = {429: 20429, 503: 20503}.get(status, 20500)
        response = _error(status or 500, code, "Too Many Requests")
        response.headers["Retry-After"] = "1"
        return response

    def _knows(self, region: str, given: str) -> bool:
        return any(
            hmac.compare_digest(given.encode(), _basic(user, secret))
            for user, secret in self.regions[region].credentials.items()
        )

    async def _list(self, request: web.Request) -> web.Response:
        wanted = request.query.get("PhoneNumber", "").replace("*", "")
        size = min(int(request.query.get("PageSize", "50")), _MAX_PAGE_SIZE)
        page = int(request.query.get("Page", "0"))
        every = [
            number
            for number in self.regions[_HOSTS[request.host]].numbers.values()
            if wanted in str(number["phone_number"])
        ]
        rows = every[page * size : (page + 1) * size]
        query = {key: value for key, value in request.query.items() if key != "Page"}

        def uri(number: int) -> str:
            return f"{request.path}?{urlencode({**query, 'Page': number})}"

        return web.json_response(
            {
                "incoming_phone_numbers": rows,
                "page": page,
                "page_size": size,
                "start": page * size,
                "end": page * size + max(len(rows) - 1, 0),
                "uri": uri(page),
                "first_page_uri": uri(0),
                "previous_page_uri": uri(page - 1) if page else None,
                "next_page_uri": uri(page + 1)
                if len(every) > (page + 1) * size
                else None,
            }
        )

    async def _show(self, request: web.Request) -> web.Response:
        return web.json_response(self._number(request))

    async def _update(self, request: web.Request) -> web.Response:
        number = self._number(request)
        form = {key: str(value) for key, value in (await request.post()).items()}
        for name, value in form.items():
            if (name in _URLS and value and not _is_url(value)) or (
                name in _METHODS and value not in {"GET", "POST"}
            ):
                return _error(400, 21502, f"{name} is not valid: {value}")
        for name, setting in {**_URLS, **_METHODS, **_OTHERS}.items():
            if name in form and setting not in self.forgets:
                number[setting] = form[name] or None
        # The one takes calls away from the other.
        if form.get("TrunkSid"):
            number["voice_application_sid"] = None
        elif form.get("VoiceApplicationSid"):
            number["trunk_sid"] = None
        return web.json_response(number)

    def _number(self, request: web.Request) -> dict[str, object]:
        numbers = self.regions[_HOSTS[request.host]].numbers
        try:
            return numbers[request.match_info["sid"]]
        except KeyError:
            raise web.HTTPNotFound from None


def _new_number(account_sid: str, sid: str, number: str) -> dict[str, object]:
    uri = f"/2010-04-01/Accounts/{account_sid}/IncomingPhoneNumbers/{sid}"
    return {
        "account_sid": account_sid,
        "address_requirements": "none",
        "address_sid": None,
        "api_version": "2010-04-01",
        "beta": False,
        "bundle_sid": None,
        "capabilities": {"fax": False, "mms": True, "sms": True, "voice": True},
        "date_created": "Fri, 20 Nov 2026 12:00:00 +0000",
        "date_updated": "Fri, 20 Nov 2026 12:00:00 +0000",
        "emergency_address_sid": None,
        "emergency_address_status": "unregistered",
        "emergency_status": "Inactive",
        "friendly_name": number,
        "identity_sid": None,
        "origin": "twilio",
        "phone_number": number,
        "sid": sid,
        "sms_application_sid": "",
        "sms_fallback_method": "POST",
        "sms_fallback_url": "",
        "sms_method": "POST",
        "sms_url": "https://sms.example.com/in",
        "status": "in-use",
        "status_callback": "",
        "status_callback_method": "POST",
        "subresource_uris": {"assigned_add_ons": f"{uri}/AssignedAddOns.json"},
        "trunk_sid": None,
        "type": "local",
        "uri": f"{uri}.json",
        "voice_application_sid": "",
        "voice_caller_id_lookup": False,
        "voice_fallback_method": "POST",
        "voice_fallback_url": "",
        "voice_method": "POST",
        "voice_receive_mode": "voice",
        "voice_url": "https://demo.twilio.com/welcome/voice/",
    }


def _error(status: int, code: int, message: str) -> web.Response:
    body = {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return web.json_response(body, status=status)


def _basic(user: str, secret: str) -> bytes:
    return b"Basic " + base64.b64encode(f"{user}:{secret}".encode())


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)
