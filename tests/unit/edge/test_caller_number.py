import subprocess
import sys

import pytest

from edge.caller_number import load_numbering_plans, place_of_number
from edge.core.caller_place import CallerPlace, NoPlace, PlaceSource


@pytest.mark.parametrize(
    ("caller", "country", "state"),
    [
        ("+14155550123", "US", "US-CA"),
        ("+12125550123", "US", "US-NY"),
        ("+16045550123", "CA", "CA-BC"),
        ("+18095550123", "DO", ""),
        ("+442079460958", "GB", ""),
        ("+447911123456", "GG", ""),
        ("+493012345678", "DE", ""),
        ("+5511912345678", "BR", ""),
        ("+6561234567", "SG", ""),
        ("sip:+493012345678@pbx.example.com", "DE", ""),
        ("SIPS:+493012345678@pbx.example.com;transport=tls", "DE", ""),
    ],
)
def test_a_number_is_from_somewhere(caller: str, country: str, state: str) -> None:
    place = place_of_number(caller)
    assert isinstance(place, CallerPlace), place
    assert (place.source, place.country) == (PlaceSource.NUMBER, country)
    assert place.state == state


@pytest.mark.parametrize(
    ("caller", "outcome"),
    [
        ("", NoPlace.ABSENT),
        ("sip:@example.com", NoPlace.ABSENT),
        ("anonymous", NoPlace.ANONYMOUS),
        ("Restricted", NoPlace.ANONYMOUS),
        ("sip:anonymous@anonymous.invalid", NoPlace.ANONYMOUS),
        ("+266696687", NoPlace.ANONYMOUS),
        ("+7378742833", NoPlace.ANONYMOUS),
        ("+2562533", NoPlace.ANONYMOUS),
        ("+8656696", NoPlace.ANONYMOUS),
        ("+86282452253", NoPlace.ANONYMOUS),
        ("client:alice", NoPlace.CLIENT),
        ("client:", NoPlace.CLIENT),
        ("client:+14155550123", NoPlace.CLIENT),
        ("sip:alice@example.com", NoPlace.NOT_A_NUMBER),
        ("sip:100@pbx.example.com", NoPlace.NOT_A_NUMBER),
        ("sip:garbage", NoPlace.NOT_A_NUMBER),
        ("14155550123", NoPlace.MALFORMED),
        ("+", NoPlace.MALFORMED),
        ("++14155550123", NoPlace.MALFORMED),
        ("+1 415 555 0123", NoPlace.MALFORMED),
        ("+1-800-FLOWERS", NoPlace.MALFORMED),
        ("+1415555\u0660123", NoPlace.MALFORMED),
        ("+14155550123;ext=5", NoPlace.MALFORMED),
        ("+14155550123\n", NoPlace.MALFORMED),
        ("+999123456789", NoPlace.MALFORMED),
        ("+" + "1" * 10_000, NoPlace.MALFORMED),
        ("+" + "1" * 30, NoPlace.MALFORMED),
        ("\x00", NoPlace.MALFORMED),
        ("+15005550006", NoPlace.NOT_GEOGRAPHIC),
        ("+11234567890", NoPlace.IMPOSSIBLE),
        ("+49", NoPlace.MALFORMED),
        ("+18005550199", NoPlace.NOT_GEOGRAPHIC),
        ("+19005550199", NoPlace.NOT_GEOGRAPHIC),
        ("+883510012345", NoPlace.NOT_GEOGRAPHIC),
        ("+80012345678", NoPlace.NOT_GEOGRAPHIC),
        ("whatsapp:+14155550123", NoPlace.MALFORMED),
    ],
)
def test_what_is_no_place_says_why(caller: str, outcome: NoPlace) -> None:
    assert place_of_number(caller) is outcome


def test_the_numbering_plans_are_loaded_without_the_geocoder() -> None:
    load_numbering_plans()
    code = (
        "import sys, edge.caller_number as n; n.load_numbering_plans();"
        "assert not any('geodata' in name for name in sys.modules);"
        "assert 'phonenumbers.geocoder' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - our own
