"""When calls change to another transport, as scripts in literal times."""

import itertools

from edge.core.link_load import PathQuality
from edge.core.transport_choice import (
    TRANSITIONS,
    ChoiceInput,
    ChoiceState,
    Measured,
    TransportChanged,
    TransportChooser,
    TransportView,
)

GONE = TransportView()
ON_PREFERRED, ON_STANDBY = ChoiceState.ON_PREFERRED, ChoiceState.ON_STANDBY


def view(delay_ms: float = 40.0, *, loss: float = 0.0) -> TransportView:
    quality = PathQuality(loss=loss, late_p99_s=0.0, rtt_s=delay_ms / 500)
    return TransportView(usable=True, quality=quality)


WELL = view()
Step = tuple[float, TransportView | None, TransportView, ChoiceInput | None]


def play(chooser: TransportChooser, *steps: Step) -> None:
    """Show both transports at their times; None stands for a timer that fires."""
    for now, preferred, standby, wanted in steps:
        old = chooser.state
        if preferred is None:
            got = chooser.expire(now=now)
        else:
            got = chooser.handle(Measured(preferred, standby), now=now)
        if wanted is None:
            assert got == (), now
        else:
            assert got == (TransportChanged(old, chooser.state, wanted),), now


def settled() -> TransportChooser:
    """Return a chooser whose preferred transport has worked."""
    chooser = TransportChooser()
    play(chooser, (0.0, WELL, WELL, None))
    return chooser


def failed_over() -> TransportChooser:
    """Return one whose preferred transport stalled at 1 s."""
    chooser = settled()
    play(chooser, (1.0, GONE, WELL, ChoiceInput.FAILED))
    return chooser


def test_the_table_is_total() -> None:
    assert set(TRANSITIONS) == set(itertools.product(ChoiceState, ChoiceInput))


def test_the_preferred_transport_is_used_while_both_are_alike() -> None:
    chooser = settled()
    play(chooser, (9.0, WELL, view(35.0), None), (99.0, view(45.0), WELL, None))
    assert chooser.state is ON_PREFERRED
    assert chooser.next_deadline() is None


def test_what_comes_up_first_carries_the_first_calls() -> None:
    chooser = TransportChooser()
    play(
        chooser,
        (0.0, GONE, GONE, None),
        (0.1, GONE, WELL, ChoiceInput.FAILED),
        (0.2, WELL, WELL, ChoiceInput.RECOVERED),
    )


def test_a_stalled_transport_is_left_at_once_and_used_again_when_it_was_well() -> None:
    chooser = failed_over()
    assert chooser.state is ON_STANDBY
    play(chooser, (2.0, WELL, WELL, None))
    assert chooser.next_deadline() == 12.0
    play(
        chooser,
        (11.0, GONE, WELL, None),
        (11.5, WELL, WELL, None),
        (21.4, WELL, WELL, None),
        (21.5, None, WELL, ChoiceInput.RECOVERED),
    )


def test_a_timer_without_a_reason_changes_nothing() -> None:
    play(failed_over(), (30.0, None, WELL, None))


def test_the_standby_is_left_at_once_too() -> None:
    play(failed_over(), (2.0, WELL, GONE, ChoiceInput.FAILED))


def test_after_both_were_gone_the_preferred_one_is_as_good_as_new() -> None:
    chooser = failed_over()
    play(
        chooser,
        (2.0, GONE, GONE, ChoiceInput.BOTH_GONE),
        (3.0, GONE, WELL, ChoiceInput.FAILED),
        (3.1, WELL, WELL, ChoiceInput.RECOVERED),
    )


def test_each_relapse_doubles_the_time_it_must_be_well() -> None:
    """A path that loses packets only under load looks well as soon as it is left."""
    chooser, now = failed_over(), 1.0
    for well_s in (10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0):
        play(
            chooser,
            (now + 1.0, WELL, WELL, None),
            (now + 0.9 + well_s, WELL, WELL, None),
            (now + 1.0 + well_s, WELL, WELL, ChoiceInput.RECOVERED),
        )
        now += 1.0 + well_s + 59.0
        play(chooser, (now, view(loss=0.3), WELL, ChoiceInput.FAILED))


def test_a_return_that_lasted_forgets_the_relapses() -> None:
    chooser = failed_over()
    play(
        chooser,
        (2.0, WELL, WELL, None),
        (12.0, WELL, WELL, ChoiceInput.RECOVERED),
        (13.0, GONE, WELL, ChoiceInput.FAILED),
        (14.0, WELL, WELL, None),
        (34.0, WELL, WELL, ChoiceInput.RECOVERED),
        (94.0, GONE, WELL, ChoiceInput.FAILED),
        (95.0, WELL, WELL, None),
        (105.0, WELL, WELL, ChoiceInput.RECOVERED),
    )


def test_calls_that_had_to_come_back_make_no_relapse() -> None:
    chooser = failed_over()
    play(
        chooser,
        (2.0, WELL, GONE, ChoiceInput.FAILED),
        (3.0, GONE, WELL, ChoiceInput.FAILED),
        (4.0, WELL, WELL, None),
        (14.0, WELL, WELL, ChoiceInput.RECOVERED),
    )


def test_a_clearly_better_standby_takes_over_after_a_while() -> None:
    chooser = settled()
    play(
        chooser,
        (10.0, view(80.0), WELL, None),
        (12.0, WELL, WELL, None),
        (13.0, view(80.0), WELL, None),
        (17.9, view(80.0), WELL, None),
        (18.0, view(80.0), WELL, ChoiceInput.OUTDONE),
        (60.0, view(80.0), WELL, None),
        (70.0, view(45.0), WELL, None),
        (80.0, view(45.0), WELL, ChoiceInput.RECOVERED),
    )


def test_better_means_by_ten_milliseconds_and_by_a_fifth() -> None:
    for slow, fast in ((25.0, 16.0), (400.0, 330.0)):
        chooser = settled()
        play(
            chooser,
            (1.0, view(slow), view(fast), None),
            (9.0, view(slow), view(fast), None),
        )


def test_a_transport_that_loses_too_much_is_left_at_once() -> None:
    chooser = settled()
    play(
        chooser,
        (1.0, view(loss=0.19), WELL, None),
        (2.0, view(loss=0.20), WELL, ChoiceInput.FAILED),
        (3.0, view(loss=0.11), WELL, None),
        (20.0, view(loss=0.11), WELL, None),
        (21.0, view(loss=0.09), WELL, None),
        (31.0, view(loss=0.09), WELL, ChoiceInput.RECOVERED),
    )


def test_loss_on_both_is_no_reason_to_change() -> None:
    bad = view(loss=0.5)
    play(settled(), (1.0, bad, bad, None), (9.0, bad, bad, None))


def test_a_lossy_standby_takes_no_calls_for_being_faster() -> None:
    play(
        settled(),
        (1.0, view(80.0), view(loss=0.5), None),
        (9.0, view(80.0), view(loss=0.5), None),
    )
