"""A Twilio account in one of Twilio's Regions, through Twilio's own package."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import msgspec
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from backhaul.settings import Secret
from lab.number_plan import NumberPlan

__all__ = ["CITIES", "AccountError", "Credentials", "TwilioAccount"]

CITIES: Final[Mapping[str, str]] = {"us1": "ashburn", "ie1": "dublin", "au1": "sydney"}
"""The Regions that process calls, and where their API is.

Region and city are always given together: with one of them alone Twilio's package asks
a host that is retired or another Region's.
Source: https://www.twilio.com/docs/global-infrastructure
"""

_ACCOUNT_SID = re.compile(r"AC[0-9a-f]{32}", re.ASCII)
_TIMEOUT_S: Final = 10.0
_TRIES: Final = 4
_BUSY: Final = frozenset({429, 503})
"""The request was not processed, and may be made again."""
_LONGEST_WAIT_S: Final = 10.0
_SETTINGS: Final = (
    *("sid", "phone_number", "capabilities", "voice_receive_mode"),
    *("voice_url", "voice_method", "voice_fallback_url", "voice_fallback_method"),
    *("status_callback", "status_callback_method"),
    *("voice_application_sid", "trunk_sid"),
)


class AccountError(Exception):
    """Twilio does not do what it was asked, or was asked wrongly; says why."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who asks. Keys and tokens belong to one Region each."""

    account_sid: str
    user: str
    """The SID of an API key, or the account's own."""
    password: Secret

    @classmethod
    def of(
        cls, region: str, environ: Mapping[str, str], *, account_sid: str = ""
    ) -> "Credentials":
        """Return the credentials for *region* that *environ* holds.

        Variables that end in the Region (TWILIO_API_KEY_IE1) win over those without.

        Args:
            region: For example ``ie1``.
            environ: The process's environment.
            account_sid: The account if TWILIO_ACCOUNT_SID does not say.

        Raises:
            AccountError: If something is missing.
        """

        def get(name: str) -> str:
            return environ.get(f"{name}_{region.upper()}") or environ.get(name, "")

        account_sid = environ.get("TWILIO_ACCOUNT_SID") or account_sid
        if not _ACCOUNT_SID.fullmatch(account_sid):
            raise AccountError("set TWILIO_ACCOUNT_SID: AC and 32 hexadecimal digits")
        key, secret = get("TWILIO_API_KEY"), get("TWILIO_API_SECRET")
        if key and secret:
            return cls(account_sid, key, Secret(secret))
        token = get("TWILIO_AUTH_TOKEN")
        if key or not token or "," in token:
            raise AccountError(
                f"set TWILIO_API_KEY and TWILIO_API_SECRET, of an API key for {region},"
                " or the one TWILIO_AUTH_TOKEN it has"
            )
        return cls(account_sid, account_sid, Secret(token))


class _Problem(msgspec.Struct):
    """How Twilio refuses."""

    code: int | None = None
    message: str = ""


class TwilioAccount:
    """Reads and changes the settings of numbers."""

    def __init__(
        self,
        region: str,
        credentials: Credentials,
        *,
        api_url: str = "",
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        """Make it; nothing is asked yet.

        Args:
            region: One of `CITIES`.
            credentials: Of that Region.
            api_url: Asked instead of Twilio; for rehearsals.
            wait: Waits so many seconds.
        """
        self._region = region
        http: Any = _PatientHttpClient(api_url, wait)
        self._client: Any = Client(
            credentials.user,
            credentials.password.reveal(),
            account_sid=credentials.account_sid,
            region=region,
            edge=CITIES[region],
            http_client=http,
        )

    def find(self, number: str) -> dict[str, object] | None:
        """Return the settings of *number*; None if the account does not have it.

        Raises:
            AccountError: If Twilio refuses or cannot be reached.
        """
        found = self._ask(
            lambda: self._client.incoming_phone_numbers.list(phone_number=number)
        )
        # Twilio matches any part of a number.
        exact = (each for each in found if each.phone_number == number)
        one = next(exact, None)
        return None if one is None else _settings(one)

    def apply(self, plan: NumberPlan) -> None:
        """Make the changes of *plan*, and see that they are made.

        Raises:
            AccountError: If they are not.
        """
        wanted = {change.setting: change.then for change in plan.changes}
        number = self._client.incoming_phone_numbers(plan.sid)
        kept = _settings(self._ask(lambda: number.update(**wanted)))
        wrong = [name for name, then in wanted.items() if (kept[name] or "") != then]
        if wrong:
            raise AccountError(
                f"{plan.number} in {self._region}: Twilio took the request but kept "
                f"its own {', '.join(wrong)}"
            )

    def _ask(self, request: Callable[[], Any]) -> Any:  # noqa: ANN401 - untyped package
        where = f"Twilio in {self._region}"
        try:
            return request()
        except TwilioException as exc:
            raise AccountError(f"{where}: {_reason(exc)}") from None
        except OSError as exc:
            # What it says holds the whole URL; its type says enough.
            raise AccountError(f"{where}: no answer ({type(exc).__name__})") from None


class _PatientHttpClient:
    """The package's HTTP client; tries again what Twilio had no time for."""

    def __init__(self, api_url: str, wait: Callable[[float], None]) -> None:
        self._http: Any = TwilioHttpClient(timeout=_TIMEOUT_S)
        self._api = urlsplit(api_url) if api_url else None
        self._wait = wait

    def request(self, method: str, url: str, **given: Any) -> Any:  # noqa: ANN401
        """Make one request; see TwilioHttpClient."""
        if self._api is not None:
            parts = urlsplit(url)
            given["headers"] = {**given["headers"], "Host": parts.netloc}
            api = parts._replace(scheme=self._api.scheme, netloc=self._api.netloc)
            url = urlunsplit(api)
        tried = 1
        response = self._http.request(method, url, **given)
        while response.status_code in _BUSY and tried < _TRIES:
            self._wait(_pause_s(response.headers, tried))
            tried += 1
            response = self._http.request(method, url, **given)
        return response


def _pause_s(headers: Mapping[str, str] | None, tried: int) -> float:
    asked = (headers or {}).get("Retry-After", "")
    wanted_s = float(asked) if asked.isascii() and asked.isdigit() else 0.5 * 2**tried
    return min(wanted_s, _LONGEST_WAIT_S)


def _reason(exc: TwilioException) -> str:
    if isinstance(exc, TwilioRestException):
        return _refusal(exc.status, exc.code, str(exc.msg))
    # The package has no exception of its own for a list that is refused.
    response: Any = exc.args[-1] if exc.args else None
    if not isinstance(response, Response):
        return type(exc).__name__
    try:
        problem = msgspec.json.decode(response.text, type=_Problem)
    except msgspec.MsgspecError:
        problem = _Problem()
    return _refusal(response.status_code, problem.code, problem.message)


def _refusal(status: int, code: int | None, message: str) -> str:
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return (
            f"refuses the credentials (HTTP {status}); keys and tokens belong to one "
            "Region each"
        )
    return f"HTTP {status}, error {code or 'unknown'}: {message}"


def _settings(number: Any) -> dict[str, object]:  # noqa: ANN401 - untyped package
    return {name: getattr(number, name) for name in _SETTINGS}
