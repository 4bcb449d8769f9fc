"""What speaks against a region, as scripts in literal times."""

from edge.core.region_evidence import RegionEvidence, Sign


def evidence_of(*attempts: tuple[float, bool]) -> RegionEvidence:
    evidence = RegionEvidence()
    for now, failed in attempts:
        evidence.attempted(failed=failed, now=now)
    return evidence


def test_a_few_failures_say_nothing() -> None:
    evidence = evidence_of(*((1.0, True) for _ in range(4)))
    assert evidence.signs(now=1.0) == ()


def test_a_fifth_of_the_sessions_failing_is_too_many() -> None:
    evidence = evidence_of(*((1.0, number == 0) for number in range(6)))
    assert evidence.signs(now=1.0) == ()
    evidence.attempted(failed=True, now=2.0)
    assert evidence.signs(now=2.0) == (Sign.FAILURES,)


def test_what_is_long_ago_counts_no_more() -> None:
    evidence = evidence_of(*((1.0, True) for _ in range(5)))
    assert evidence.signs(now=10.9) == (Sign.FAILURES,)
    assert evidence.signs(now=11.0) == ()
    evidence.attempted(failed=True, now=12.0)
    assert evidence.signs(now=12.0) == ()


def late_after(*measured: tuple[float, float | None], now: float) -> tuple[Sign, ...]:
    evidence = RegionEvidence()
    for at, late_s in measured:
        evidence.measured(late_s, now=at)
    return evidence.signs(now=now)


def test_audio_that_is_late_for_long_speaks_against_it() -> None:
    measured = ((0.0, 0.02), (1.0, 0.6), (2.9, 0.7))
    assert late_after(*measured, now=2.9) == ()
    assert late_after(*measured, now=3.0) == (Sign.LATE,)


def test_a_pause_begins_the_time_anew() -> None:
    assert late_after((0.0, 0.02), (1.0, 0.6), (2.0, 0.4), (2.5, 0.6), now=4.4) == ()


def test_a_path_that_always_was_so_is_not_late() -> None:
    assert late_after((0.0, 0.3), (1.0, 0.8), now=9.0) == ()


def test_jitter_of_150_ms_is_not_late() -> None:
    assert late_after((0.0, 0.001), (1.0, 0.3), now=9.0) == ()


def test_without_calls_nothing_is_late() -> None:
    assert late_after((0.0, 0.02), (1.0, 0.6), (2.0, None), now=9.0) == ()
