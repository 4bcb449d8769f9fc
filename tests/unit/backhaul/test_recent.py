"""Values are kept until they are taken, within bounds."""

from prometheus_client import CollectorRegistry

from backhaul.recent import Recent, RecentHistogram, RecentMean


def test_values_are_taken_once() -> None:
    recent = Recent()
    recent.add(1.0)
    recent.add(2.0)
    assert recent.take() == [1.0, 2.0]
    assert recent.take() == []


def test_no_more_than_a_thousand_are_kept() -> None:
    recent = Recent()
    for number in range(5000):
        recent.add(float(number))
    assert recent.take() == [float(number) for number in range(1000)]
    recent.add(1.0)
    assert recent.take() == [1.0]


def test_a_histogram_keeps_its_values_as_well() -> None:
    registry = CollectorRegistry()
    histogram = RecentHistogram("wait_seconds", "Wait.", registry=registry)
    histogram.observe(0.25)
    with histogram.time():
        pass
    assert histogram.recent.take()[0] == 0.25
    assert registry.get_sample_value("wait_seconds_count") == 2


def test_a_mean_keeps_its_samples_as_well() -> None:
    mean = RecentMean()
    mean.add(1.0)
    mean.add(2.0)
    assert mean.value > 1
    assert mean.recent.take() == [1.0, 2.0]


def test_somebody_else_may_be_told_of_every_value() -> None:
    recent, told = Recent(), list[float]()
    recent.also = told.append
    recent.add(1.0)
    recent.take()
    recent.add(2.0)
    assert told == [1.0, 2.0]
