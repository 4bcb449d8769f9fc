"""The choice of a transport under measurements that jump and flap."""

import random

from hypothesis import given
from hypothesis import strategies as st

from edge.core.link_load import PathQuality
from edge.core.transport_choice import (
    ChoiceInput,
    ChoiceState,
    Measured,
    TransportChooser,
    TransportView,
)

views = st.builds(
    TransportView,
    usable=st.booleans(),
    quality=st.builds(
        PathQuality,
        loss=st.floats(0, 1),
        late_p99_s=st.floats(0, 1),
        rtt_s=st.floats(0, 1),
    ),
)
steps = st.lists(st.tuples(st.floats(0, 20), views, views), max_size=60)


@given(steps)
def test_a_usable_transport_is_always_chosen(
    steps: list[tuple[float, TransportView, TransportView]],
) -> None:
    chooser, now = TransportChooser(), 0.0
    for seconds, preferred, standby in steps:
        now += seconds
        for action in chooser.expire(now=now):
            assert action.new is chooser.state is not action.old
        for action in chooser.handle(Measured(preferred, standby), now=now):
            assert action.new is chooser.state is not action.old
        on_preferred = chooser.state is ChoiceState.ON_PREFERRED
        chosen = preferred if on_preferred else standby
        assert chosen.usable or not (preferred.usable or standby.usable)
        deadline = chooser.next_deadline()
        assert deadline is None or deadline > now


@given(
    st.integers(0, 2**16),
    st.floats(0.0, 0.3),
    st.floats(0.0, 0.3),
    st.floats(0.0, 0.05),
)
def test_noise_never_makes_it_flap(
    seed: int, first_s: float, second_s: float, noise_s: float
) -> None:
    """Noise around two fixed delays moves calls once at most."""
    chance = random.Random(seed)
    chooser, changes = TransportChooser(), 0
    for tick in range(3000):
        seen = [
            TransportView(
                usable=True,
                quality=PathQuality(
                    late_p99_s=delay_s + noise_s * chance.random(),
                    loss=0.05 * chance.random(),
                ),
            )
            for delay_s in (first_s, second_s)
        ]
        changes += len(chooser.handle(Measured(*seen), now=tick / 10))
    assert changes <= 1


@given(st.lists(st.floats(0.1, 3.0), min_size=1, max_size=100))
def test_a_transport_that_comes_and_goes_is_not_used_again_and_again(
    lengths_s: list[float],
) -> None:
    """No two returns to the preferred transport within the time it must be well."""
    chooser, now, returned_at = TransportChooser(), 0.0, -100.0
    well = TransportView(usable=True)
    for number, length_s in enumerate(lengths_s):
        now += length_s
        preferred = TransportView(usable=number % 2 == 0)
        for change in chooser.handle(Measured(preferred, well), now=now):
            if change.reason is ChoiceInput.RECOVERED and number:
                assert now - returned_at >= 10.0
                returned_at = now


@given(
    st.lists(st.floats(0.1, 59.0), min_size=1, max_size=8),
    st.sampled_from([TransportView(), TransportView(True, PathQuality(loss=0.4))]),
)
def test_a_transport_that_fails_whenever_it_is_used_is_tried_ever_more_seldom(
    lasts_s: list[float], bad: TransportView
) -> None:
    """It works as long as nobody uses it, and so long after each return."""
    well = TransportView(usable=True)
    chooser, now = TransportChooser(), 0.0
    chooser.handle(Measured(well, well), now=now)
    for number, length_s in enumerate(lasts_s):
        now += length_s
        (left,) = chooser.handle(Measured(bad, well), now=now)
        assert left.reason is ChoiceInput.FAILED
        assert chooser.handle(Measured(well, well), now=now) == ()
        now += min(10.0 * 2**number, 300.0)
        assert chooser.next_deadline() == now
        (back,) = chooser.expire(now=now)
        assert back.reason is ChoiceInput.RECOVERED
