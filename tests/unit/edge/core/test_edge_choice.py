import pytest

from edge.core.caller_place import CallerPlace, PlaceSource
from edge.core.edge_choice import EdgeOption, choose_edge
from edge.core.geography import Point

US1, IE1, AU1 = Point(39.04, -77.49), Point(53.35, -6.26), Point(-33.87, 151.21)
ASHBURN = EdgeOption("ashburn", US1)
NEW_YORK = EdgeOption("new-york", Point(40.7, -74.0))
DALLAS = EdgeOption("dallas", Point(32.8, -96.8))
TORONTO = EdgeOption("toronto", Point(43.7, -79.4))
FRANKFURT = EdgeOption("frankfurt", Point(50.11, 8.68))
SYDNEY = EdgeOption("sydney", AU1)
NOWHERE = CallerPlace(PlaceSource.EDGE, 0.0, None)


def caller(latitude: float, longitude: float, confidence: float = 0.9) -> CallerPlace:
    point = Point(latitude, longitude)
    return CallerPlace(PlaceSource.CLIENT_IP, confidence, point)


IN_BERLIN, IN_MIAMI = caller(52.5, 13.4), caller(25.8, -80.2)


def test_the_stream_goes_to_the_edge_at_twilios_region() -> None:
    others = [ASHBURN, SYDNEY]
    choice = choose_edge(FRANKFURT, others, region=US1, caller=NOWHERE)
    assert choice.name == "ashburn"


def test_a_caller_nearer_to_another_edge_is_no_reason_for_a_detour() -> None:
    choice = choose_edge(ASHBURN, [FRANKFURT], region=US1, caller=IN_BERLIN)
    assert choice.name == "ashburn"


def test_a_region_in_europe_streams_to_europe() -> None:
    choice = choose_edge(ASHBURN, [FRANKFURT, SYDNEY], region=IE1, caller=IN_MIAMI)
    assert choice.name == "frankfurt"


def test_among_edges_as_far_from_the_region_the_caller_decides() -> None:
    edges = [TORONTO, DALLAS]
    far = EdgeOption("far", AU1)
    between = Point(38.0, -88.0)
    north = choose_edge(far, edges, region=between, caller=caller(45.5, -73.6))
    south = choose_edge(far, edges, region=between, caller=caller(29.8, -95.4))
    assert (north.name, south.name) == ("toronto", "dallas")


def test_a_caller_counts_as_much_as_the_place_is_trusted() -> None:
    edges = [TORONTO, DALLAS]
    far, region = EdgeOption("far", AU1), Point(40.0, -88.0)
    houston = {
        confidence: choose_edge(
            far, edges, region=region, caller=caller(29.8, -95.4, confidence)
        ).name
        for confidence in (0.0, 1.0)
    }
    assert houston == {0.0: "toronto", 1.0: "dallas"}


def test_for_a_small_saving_the_call_stays() -> None:
    choice = choose_edge(NEW_YORK, [ASHBURN], region=US1, caller=NOWHERE)
    assert choice.name == "new-york"
    assert dict(choice.reasons)["ashburn"].endswith("saves too little")


def test_alone_an_edge_keeps_its_calls() -> None:
    choice = choose_edge(SYDNEY, [], region=US1, caller=NOWHERE)
    assert choice.name == "sydney"
    assert choice.reasons == (("sydney", "own edge, 15674 km"),)


@pytest.mark.parametrize("turned", [False, True])
def test_equals_are_settled_by_name_in_whichever_order(turned: bool) -> None:
    twins = [EdgeOption("a", US1), EdgeOption("b", US1)]
    others = list(reversed(twins)) if turned else twins
    choice = choose_edge(FRANKFURT, others, region=US1, caller=NOWHERE)
    assert choice.name == "a"


def test_every_edge_considered_has_its_reason() -> None:
    choice = choose_edge(FRANKFURT, [ASHBURN, SYDNEY], region=US1, caller=NOWHERE)
    assert [name for name, _ in choice.reasons] == ["frankfurt", "ashburn", "sydney"]


def test_whoever_is_full_gives_calls_to_any_other_edge_and_to_the_nearest() -> None:
    others = [SYDNEY, NEW_YORK]
    choice = choose_edge(ASHBURN, others, region=US1, caller=NOWHERE, own_is_full=True)
    assert choice.name == "new-york"
    assert ("ashburn", "own edge, full") in choice.reasons


def test_whoever_is_full_and_alone_has_nobody_to_give_calls_to() -> None:
    choice = choose_edge(ASHBURN, [], region=US1, caller=NOWHERE, own_is_full=True)
    assert choice.name == "ashburn"
