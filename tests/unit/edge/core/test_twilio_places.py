from edge.core.geography import distance_km
from edge.core.twilio_places import TWILIO_EDGES, TWILIO_REGIONS


def test_every_region_is_at_an_edge_and_called_by_its_legacy_id() -> None:
    for region, edge in TWILIO_REGIONS.items():
        assert TWILIO_EDGES[edge].legacy_id == region


def test_no_two_edges_are_one() -> None:
    ids = {edge.legacy_id for edge in TWILIO_EDGES.values()}
    assert len(ids) == len(TWILIO_EDGES)
    places = list(TWILIO_EDGES.values())
    for one in places:
        for other in places:
            assert one is other or distance_km(one.place, other.place) > 500
