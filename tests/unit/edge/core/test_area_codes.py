"""The table of area codes, judged by the numbering plan."""

import phonenumbers

from edge.core.area_codes import STATE_OF_AREA_CODE, STATE_PLACES
from edge.core.country_places import COUNTRY_PLACES
from edge.core.geography import distance_km


def country_of(area_code: str) -> str | None:
    """Return the country of an area code in use, None if it is of no place."""
    for rest in ("2345678", "5552345"):
        number = phonenumbers.parse(f"+1{area_code}{rest}")
        kind = phonenumbers.number_type(number)
        if kind in {
            phonenumbers.PhoneNumberType.FIXED_LINE,
            phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE,
        }:
            return phonenumbers.region_code_for_number(number)
    return None


def test_every_area_code_in_use_has_a_state_of_the_right_country() -> None:
    for code in map(str, range(200, 1000)):
        country = country_of(code)
        if country in {"US", "CA"}:
            assert STATE_OF_AREA_CODE[code][:2] == country, code


def test_states_are_in_their_country() -> None:
    assert len([name for name in STATE_PLACES if name.startswith("US-")]) == 51
    assert len([name for name in STATE_PLACES if name.startswith("CA-")]) == 13
    for name, place in STATE_PLACES.items():
        assert distance_km(place, COUNTRY_PLACES[name[:2]]) < 6500, name


def test_no_area_code_is_given_twice() -> None:
    # A code of two states would have one entry fewer than it was written down.
    assert len(STATE_OF_AREA_CODE) == 425
    assert all(len(code) == 3 and code.isdigit() for code in STATE_OF_AREA_CODE)
