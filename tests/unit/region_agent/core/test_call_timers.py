from backhaul.core.profile import CallLength, Silence
from region_agent.core.call_timers import (
    LengthStep,
    LengthWatch,
    SilenceStep,
    SilenceWatch,
)


def test_silence_is_counted_from_when_it_became_quiet() -> None:
    watch = SilenceWatch(Silence(after_s=5.0, prompts=1))
    assert watch.next_deadline() is None
    watch.observe(quiet=True, now=1.0)
    watch.observe(quiet=True, now=2.0)
    assert watch.next_deadline() == 6.0
    assert watch.expire(now=5.9) is None
    assert watch.expire(now=6.0) is SilenceStep.PROMPT
    assert watch.next_deadline() == 11.0
    watch.observe(quiet=False, now=7.0)
    assert watch.expire(now=99.0) is None
    watch.observe(quiet=True, now=100.0)
    assert watch.expire(now=105.0) is SilenceStep.GOODBYE


def test_a_caller_who_spoke_is_asked_as_often_as_before() -> None:
    watch = SilenceWatch(Silence(after_s=5.0, prompts=1))
    watch.observe(quiet=True, now=0.0)
    assert watch.expire(now=5.0) is SilenceStep.PROMPT
    watch.caller_spoke()
    assert watch.expire(now=10.0) is SilenceStep.PROMPT


def test_silence_may_last_for_ever() -> None:
    watch = SilenceWatch(Silence(after_s=0.0))
    watch.observe(quiet=True, now=0.0)
    assert watch.next_deadline() is None
    assert watch.expire(now=1e9) is None


def test_a_long_call_is_warned_left_and_cut() -> None:
    watch = LengthWatch(CallLength(max_s=100.0, warning_s=10.0), now=1000.0)
    steps = [(watch.next_deadline(), watch.expire(now=2000.0)) for _ in range(4)]
    assert steps == [
        (1090.0, LengthStep.WARNING),
        (1100.0, LengthStep.GOODBYE),
        (1120.0, LengthStep.CUT),
        (None, None),
    ]


def test_a_long_call_is_not_left_early() -> None:
    watch = LengthWatch(CallLength(max_s=100.0, warning_s=0.0), now=0.0)
    assert watch.next_deadline() == 100.0
    assert watch.expire(now=99.9) is None
    assert watch.expire(now=100.0) is LengthStep.GOODBYE


def test_a_call_may_last_for_ever() -> None:
    watch = LengthWatch(CallLength(max_s=0.0), now=0.0)
    assert watch.next_deadline() is None
    assert watch.expire(now=1e9) is None


def test_a_call_that_goes_on_elsewhere_is_as_long_as_it_was() -> None:
    config = CallLength(max_s=100.0, warning_s=10.0)
    early = LengthWatch(config, now=1000.0, elapsed_s=60.0)
    assert early.next_deadline() == 1030.0
    assert early.elapsed_s(now=1005.0) == 65.0
    warned = LengthWatch(config, now=1000.0, elapsed_s=95.0)
    assert (warned.next_deadline(), warned.expire(now=1005.0)) == (
        1005.0,
        LengthStep.GOODBYE,
    )
    over = LengthWatch(config, now=1000.0, elapsed_s=200.0)
    assert over.expire(now=1000.0) is LengthStep.GOODBYE
    assert over.next_deadline() == 1020.0
