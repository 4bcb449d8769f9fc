from lab.places import EDGE_PLACES, nearest_twilio_region, one_way_delay_ms


def test_delays_are_those_of_the_distance() -> None:
    ashburn, frankfurt = EDGE_PLACES[:2]
    assert one_way_delay_ms(ashburn, ashburn) == 1.0
    assert 40 < one_way_delay_ms(ashburn, frankfurt) < 50


def test_numbers_are_processed_in_the_nearest_of_twilios_regions() -> None:
    nearest = {place.name: nearest_twilio_region(place) for place in EDGE_PLACES}
    assert nearest["edge-umatilla"] == nearest["edge-sao-paulo"] == "us1"
    assert nearest["edge-frankfurt"] == "ie1"
    assert nearest["edge-tokyo"] == nearest["edge-singapore"] == "au1"
