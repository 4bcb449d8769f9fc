"""What Twilio tells a webhook about a call."""

from collections.abc import Mapping
from datetime import UTC, datetime

from backhaul.clock import unix_s
from lab.twilio_plan import CallPlan

__all__ = ["call_parameters", "child_parameters", "utc_now"]

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

_SIP_DOMAIN = "warmline-lab.sip.twilio.com"
_PBX = "pbx.example.com"


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
    caller, called = plan.from_number, plan.to_number
    if plan.over_sip:
        caller, called = _sip_uri(caller, _PBX), _sip_uri(called, _SIP_DOMAIN)
    return {
        "CallSid": call_sid,
        "AccountSid": account_sid,
        "From": caller,
        "Caller": caller,
        "To": called,
        "Called": called,
        "CallStatus": status,
        "Direction": "inbound",
        "ApiVersion": "2010-04-01",
        **{name: country for name, country in places.items() if country},
        **(_sip_parameters(call_sid) if plan.over_sip else {}),
        **plan.extra_parameters,
    }


def child_parameters(
    parent: Mapping[str, str], *, call_sid: str, called: str, caller: str, status: str
) -> dict[str, str]:
    """Return the parameters of a request about the leg that a `<Dial>` created.

    *parent* is what `call_parameters` says about the call it was dialled from.
    """
    return {
        "CallSid": call_sid,
        "ParentCallSid": parent["CallSid"],
        "AccountSid": parent["AccountSid"],
        "From": caller,
        "Caller": caller,
        "To": called,
        "Called": called,
        "CallStatus": status,
        "Direction": "outbound-dial",
        "ApiVersion": parent["ApiVersion"],
    }


def utc_now() -> datetime:
    """Return the time of day, for timestamps that leave this process."""
    return datetime.fromtimestamp(unix_s(), UTC)


def _country(number: str) -> str:
    for prefix, country in _COUNTRY_OF_PREFIX.items():
        if number.startswith(prefix):
            return country
    return ""


def _sip_uri(number: str, host: str) -> str:
    return number if number.startswith(("sip:", "sips:")) else f"sip:{number}@{host}"


def _sip_parameters(call_sid: str) -> dict[str, str]:
    """Return what a call at a SIP domain has besides; the address is a PBX's."""
    return {
        "SipDomain": _SIP_DOMAIN,
        "SipDomainSid": f"SD{call_sid[2:]}",
        "SipCallId": f"{call_sid[2:18]}@{_PBX}",
        "SipSourceIp": "192.0.2.10",
    }
