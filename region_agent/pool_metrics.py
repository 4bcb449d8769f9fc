"""Prometheus metrics of an agent's session pools, and of the leases on them."""

from collections.abc import Callable, Iterator
from dataclasses import asdict

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from backhaul.clock import monotonic_s
from backhaul.metric_families import counter, gauge
from region_agent.core.pool_events import PoolCounters
from region_agent.leases import Leases
from region_agent.sessions import ProfileSessions, Sessions

__all__ = ["PoolCollector"]

_Read = Callable[[ProfileSessions], float]

_MEASURED: tuple[tuple[str, str, _Read], ...] = (
    (
        "pool_target_sessions",
        "Sessions to keep ready, by what was measured.",
        lambda each: each.pool.demand.target,
    ),
    (
        "pool_arrivals_per_second",
        "Lease requests per second, lately.",
        lambda each: each.pool.demand.arrivals.per_s(now=monotonic_s()),
    ),
    (
        "pool_refill_seconds",
        "From a session missing to the next one ready, smoothed.",
        lambda each: each.pool.demand.refill.value,
    ),
    (
        "session_open_seconds",
        "From the order to open a session to its first proof, smoothed.",
        lambda each: each.pool.open_s,
    ),
    (
        "session_proof_seconds",
        "How long a session takes to prove that it answers, smoothed; 0: not yet.",
        lambda each: each.pool.proof_s,
    ),
    (
        "model_first_audio_seconds",
        "From asking the model to its first audio, smoothed; 0: not yet.",
        lambda each: each.first_audio.value,
    ),
)


class PoolCollector:
    """Reads the pools of all profiles."""

    def __init__(self, sessions: Sessions, leases: Leases) -> None:
        self._sessions = sessions
        self._leases = leases

    def collect(self) -> Iterator[Metric]:
        """Return the present state as metric families."""
        yield from self._stock()
        yield from self._capacity()
        yield from self._granted()
        yield from self._openings()
        yield from self._endings()

    def _stock(self) -> Iterator[Metric]:
        pools = self._sessions.by_profile
        yield gauge(
            "pool_sessions",
            "Sessions by where they stand.",
            ("profile", "state"),
            (
                ((name, state), count)
                for name, each in pools.items()
                for state, count in asdict(each.pool.stock()).items()
            ),
        )
        for metric, text, read in _MEASURED:
            samples = [((name,), read(each)) for name, each in pools.items()]
            yield gauge(metric, text, ("profile",), samples)

    def _capacity(self) -> Iterator[Metric]:
        capacity = self._sessions.capacity
        yield gauge(
            "capacity_calls",
            "Calls the agent carries with ease (target) and at most (max), as learned.",
            ("limit",),
            ((("target",), capacity.target), (("max",), capacity.limit)),
        )
        yield GaugeMetricFamily(
            "stock_surge_factor",
            "What every stock is multiplied by just now, as edges ask for it.",
            self._sessions.surge_factor,
        )
        yield GaugeMetricFamily(
            "capacity_used_calls",
            "Calls that have a place, ringing ones included.",
            capacity.in_use,
        )

    def _granted(self) -> Iterator[Metric]:
        counters = self._counters()
        yield counter(
            "lease_grants",
            "Leases granted, from stock or from a session opened for them.",
            ("profile", "warm"),
            (
                ((name, warm), count)
                for name, seen in counters.items()
                for warm, count in (
                    ("true", seen.warm_grants),
                    ("false", seen.cold_grants),
                )
            ),
        )
        yield counter(
            "leases_expired",
            "Leases whose call never began.",
            ("profile",),
            (((name,), seen.leases_expired) for name, seen in counters.items()),
        )
        yield counter(
            "leases_moved",
            "Leases whose session was lost or in doubt and had a successor.",
            ("profile",),
            (((name,), seen.leases_moved) for name, seen in counters.items()),
        )
        yield counter(
            "leases_refused",
            "Lease requests refused, by reason.",
            ("reason",),
            (((reason,), count) for reason, count in self._leases.refused.items()),
        )
        yield from self._leases.waits.collect()

    def _openings(self) -> Iterator[Metric]:
        yield counter(
            "session_opens",
            "Sessions opened, and opens that failed.",
            ("profile", "outcome"),
            (
                ((name, outcome), count)
                for name, seen in self._counters().items()
                for outcome, count in (("opened", seen.opened), ("failed", seen.failed))
            ),
        )
        yield CounterMetricFamily(
            "session_opens_rate_limited",
            "Opens that the endpoint answered with 429.",
            self._sessions.limiter.refused,
        )

    def _endings(self) -> Iterator[Metric]:
        counters = self._counters()
        yield counter(
            "session_proofs",
            "Proofs that sessions were asked for, and those that were overdue.",
            ("profile", "event"),
            (
                ((name, event), count)
                for name, seen in counters.items()
                for event, count in (("asked", seen.proofs), ("overdue", seen.doubted))
            ),
        )
        yield counter(
            "session_ends",
            "Sessions that ended, by who ended them and why.",
            ("profile", "reason"),
            (
                ((name, reason), count)
                for name, seen in counters.items()
                for reason, count in (
                    ("closed_by_server", seen.closed),
                    ("retired", seen.retired),
                    ("zombie", seen.zombies),
                )
            ),
        )

    def _counters(self) -> dict[str, PoolCounters]:
        by_profile = self._sessions.by_profile
        return {name: each.pool.counters for name, each in by_profile.items()}
