"""What Twilio tells a webhook about a call."""

from collections.abc import Mapping
from datetime import UTC, datetime

from backhaul.clock import unix_s
from lab.twilio_caller import CallPlan

__all__ = ["call_parameters", "utc_now"]

_COUNTRY_OF_PREFIX: Mapping[str, str] = {
    "+1": "US",
    "+27": "ZA",
    "+31": "NL",
    "+33": "FR",
    "+34": "ES",
    "+353": "IE",
    "+39": "IT",
    "+44": "GB",
    "+49": "DE",
    "+55": "BR",
    "+61": "AU",
    "+65": "SG",
    "+81": "JP",
    "+91": "IN",
}
"""Enough for stand-in callers; a number from elsewhere has no country here."""


def call_parameters(
    plan: CallPlan, *, call_sid: str, account_sid: str, status: str
) -> dict[str, str]:
    """Return the parameters every request about an inbound call carries.

    Source: Twilio's TwiML request parameters; the Caller and Called aliases are
    widely seen and not documented there.
    """
    places = {
        "FromCountry": _country(plan.from_number),
        "CallerCountry": _country(plan.from_number),
        "ToCountry": _country(plan.to_number),
        "CalledCountry": _country(plan.to_number),
    }
    return {
        "CallSid": call_sid,
        "AccountSid": account_sid,
        "From": plan.from_number,
        "Caller": plan.from_number,
        "To": plan.to_number,
        "Called": plan.to_number,
        "CallStatus": status,
        "Direction": "inbound",
        "ApiVersion": "2010-04-01",
        **{name: country for name, country in places.items() if country},
        **plan.extra_parameters,
    }


def utc_now() -> datetime:
    """Return the time of day, for timestamps that leave this process."""
    return datetime.fromtimestamp(unix_s(), UTC)


def _country(number: str) -> str:
    for prefix, country in _COUNTRY_OF_PREFIX.items():
        if number.startswith(prefix):
            return country
    return ""
