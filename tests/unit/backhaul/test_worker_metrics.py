"""Metrics of several workers are one valid text."""

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from backhaul.worker_metrics import WorkerMetrics


def text_of(calls: int) -> str:
    registry = CollectorRegistry()
    counter = Counter("calls", "Calls.", ["reason"], registry=registry)
    counter.labels("hangup").inc(calls)
    Histogram("wait_seconds", "Wait.", buckets=(1,), registry=registry).observe(calls)
    return generate_latest(registry).decode()


def test_each_family_is_told_once_and_each_sample_says_whose_it_is() -> None:
    registry = CollectorRegistry()
    registry.register(WorkerMetrics({0: text_of(1), 2: text_of(3)}))
    lines = generate_latest(registry).decode().splitlines()
    assert [line for line in lines if line.startswith("# TYPE calls")] == [
        "# TYPE calls_total counter",
        "# TYPE calls_created gauge",
    ]
    assert 'calls_total{reason="hangup",worker="0"} 1.0' in lines
    assert 'calls_total{reason="hangup",worker="2"} 3.0' in lines
    assert 'wait_seconds_bucket{le="1.0",worker="2"} 0.0' in lines
    assert 'wait_seconds_count{worker="2"} 1.0' in lines


def test_of_no_worker_there_is_nothing() -> None:
    registry = CollectorRegistry()
    registry.register(WorkerMetrics({}))
    assert generate_latest(registry) == b""
