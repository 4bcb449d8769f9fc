"""Where a caller's number was given out, by the numbering plans of `phonenumbers`.

Its geocoder is not used: it takes 100 MB and most of a second to load, and says the
names of towns, not where they are. What is installed is `phonenumberslite`, the same
package without it.
"""

import re
from typing import Final

import phonenumbers
from phonenumbers import NumberParseException, PhoneMetadata, PhoneNumberType

from edge.core.caller_place import (
    Finding,
    NoPlace,
    PlaceSource,
    place_in_country,
    place_of_area_code,
)

__all__ = ["load_numbering_plans", "place_of_number"]

_E164: Final = re.compile(r"\+[0-9]{1,32}", re.ASCII)
_NO_COUNTRY: Final = "001"
_WITHHELD: Final = ("ANONYMOUS", "BLOCKED", "RESTRICTED", "UNAVAILABLE", "UNKNOWN")
_KEYS: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "22233344455566677778889999")
_WITHHELD_NUMBERS: Final = frozenset(word.translate(_KEYS) for word in _WITHHELD)
"""As Twilio spells these words on a telephone's keys, +266696687 for example. Source:
https://support.twilio.com/hc/en-us/articles/223179988 (strange inbound numbers)."""

_OF_A_PLACE: Final = frozenset(
    {
        PhoneNumberType.FIXED_LINE,
        PhoneNumberType.FIXED_LINE_OR_MOBILE,
        PhoneNumberType.MOBILE,
        PhoneNumberType.VOIP,
        PhoneNumberType.PAGER,
    }
)


def load_numbering_plans() -> None:
    """Read all numbering plans now; a call would wait up to 20 ms for each of them."""
    PhoneMetadata.load_all()


def place_of_number(caller: str) -> Finding:
    """Return where *caller* (the carrier's From) has the number from, or why not.

    Args:
        caller: E.164, ``client:`` name, SIP URI, or a word such as ``anonymous``.
    """
    scheme, _, rest = caller.partition(":")
    if scheme.lower() == "client":
        return NoPlace.CLIENT
    over_sip = scheme.lower() in {"sip", "sips"}
    number = rest.partition("@")[0] if over_sip else caller
    if not number:
        return NoPlace.ABSENT
    if number.upper() in _WITHHELD or number.lstrip("+") in _WITHHELD_NUMBERS:
        return NoPlace.ANONYMOUS
    if over_sip and not number.startswith("+"):
        return NoPlace.NOT_A_NUMBER
    return _place_of_e164(number)


def _place_of_e164(text: str) -> Finding:
    # Only digits: the package also reads letters, brackets and extensions.
    if _E164.fullmatch(text) is None:
        return NoPlace.MALFORMED
    try:
        number = phonenumbers.parse(text)
    except NumberParseException:
        return NoPlace.MALFORMED
    if not phonenumbers.is_valid_number(number):
        return NoPlace.IMPOSSIBLE
    country = phonenumbers.region_code_for_number(number)
    kind = phonenumbers.number_type(number)
    if kind not in _OF_A_PLACE or country is None or country == _NO_COUNTRY:
        return NoPlace.NOT_GEOGRAPHIC
    if country in {"US", "CA"}:
        area_code = str(number.national_number)[:3]
        return place_of_area_code(PlaceSource.NUMBER, country, area_code)
    return place_in_country(PlaceSource.NUMBER, country)
