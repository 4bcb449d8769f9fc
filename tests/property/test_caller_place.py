"""Whatever a carrier says of a caller, it is a place, or there is a reason."""

from hypothesis import given
from hypothesis import strategies as st

from edge.caller_number import place_of_number
from edge.core.caller_place import CallerPlace, NoPlace, PlaceSource
from edge.core.edge_choice import EdgeOption, choose_edge
from edge.core.geography import Point

points = st.builds(Point, st.floats(-90, 90), st.floats(-180, 180))
options = st.builds(EdgeOption, st.text(max_size=8), points)
callers = st.builds(
    CallerPlace,
    st.sampled_from(PlaceSource),
    st.floats(0, 1),
    st.none() | points,
)


@given(
    st.text()
    | st.from_regex(r"\+[0-9]{1,20}", fullmatch=True)
    | st.from_regex(r"(sip|client|tel):[+0-9a-z@.:]{0,40}", fullmatch=True)
)
def test_every_caller_has_a_place_or_a_reason(caller: str) -> None:
    finding = place_of_number(caller)
    if isinstance(finding, CallerPlace):
        assert 0 < finding.confidence <= 1
        assert finding.point is not None
        assert len(finding.country) == 2
    else:
        assert finding in NoPlace


@given(options, st.lists(options, unique_by=lambda one: one.name), points, callers)
def test_the_edge_chosen_is_one_of_them_whatever_their_order(
    own: EdgeOption, others: list[EdgeOption], region: Point, caller: CallerPlace
) -> None:
    choice = choose_edge(own, others, region=region, caller=caller)
    turned = choose_edge(own, others[::-1], region=region, caller=caller)
    assert choice.name in {own.name, *(one.name for one in others)}
    assert choice.name == turned.name
    assert len(choice.reasons) == len(others) + 1
