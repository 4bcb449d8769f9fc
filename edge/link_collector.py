"""Prometheus metrics of the links, read when they are asked for."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from backhaul.core.messages import Receipt
from edge.agent import Agent
from edge.link_pool import LinkPool
from edge.link_rows import link_state
from edge.link_totals import LinkTotals
from edge.links import AgentLinks

__all__ = ["LinkCollector"]

_PLACE = ("region", "transport")
_Values = Mapping[tuple[str, ...], float]


class LinkCollector(Collector):
    """Reads pools and links at scrape time; agents of one region are added up."""

    def __init__(self, links: AgentLinks) -> None:
        self._links = links

    def collect(self) -> Iterator[Metric]:
        """Return the present state as metric families."""
        totals = self._links.totals()
        yield CounterMetricFamily(
            "edge_links_opened", "Links that became ready.", totals.opened
        )
        yield self._frames(totals)
        yield from self._dials()
        yield from self._depth()
        yield from _counters(totals)
        yield from self._quality()

    def _frames(self, totals: LinkTotals) -> Metric:
        channels = self._links.tables.counters
        family = CounterMetricFamily(
            "edge_link_frames",
            "Frames from agents by what became of them; refused counts batches.",
            labels=["outcome"],
        )
        family.add_metric(["received"], totals.frames.frames_received)
        family.add_metric(["doubled"], channels.frames_doubled)
        family.add_metric(["missing"], channels.frames_missing)
        family.add_metric(["refused"], totals.frames.batches_refused)
        return family

    def _dials(self) -> Iterator[Metric]:
        budget = self._links.dials.budget
        yield GaugeMetricFamily(
            "edge_dials_under_way", "Links being dialled now.", budget.under_way
        )
        yield GaugeMetricFamily(
            "edge_dials_waiting", "Links that wait to be dialled.", budget.waiting
        )

    def _depth(self) -> Iterator[Metric]:
        states: Counter[tuple[str, ...]] = Counter()
        calls: Counter[tuple[str, ...]] = Counter()
        for agent, pool in self._pools():
            place = (agent.region, pool.transport)
            calls[place] += pool.pool.stock().uses
            for number, state in pool.pool.states().items():
                shown = link_state(agent, pool, pool.links.get(number), state)
                states[*place, shown] += 1
        yield _gauge(
            "edge_links",
            "Links by where they stand: opening, ready, standby, stalled, draining.",
            (*_PLACE, "state"),
            states,
        )
        yield _gauge("edge_link_calls", "Calls that use links.", _PLACE, calls)

    def _quality(self) -> Iterator[Metric]:
        rtt_s: dict[tuple[str, ...], float] = {}
        loss: dict[tuple[str, ...], float] = {}
        late_s: dict[tuple[str, ...], float] = {}
        for agent, pool in self._pools():
            place = (agent.region, pool.transport)
            for link in [pooled.link for pooled in pool.links.values()]:
                _note_worst(rtt_s, place, link.smoothed_rtt_s)
                quality = link.quality
                ways = (("sent", quality.sent), ("received", quality.received))
                for direction, receipt in ways:
                    known = receipt or Receipt()
                    _note_worst(loss, (*place, direction), known.loss)
                    _note_worst(late_s, (*place, direction), known.late_p99_s)
        way = (*_PLACE, "direction")
        yield _gauge(
            "edge_link_rtt_seconds", "Round trip of the slowest link.", _PLACE, rtt_s
        )
        yield _gauge(
            "edge_link_loss_ratio", "Batches lost on the worst link.", way, loss
        )
        yield _gauge(
            "edge_link_late_p99_seconds",
            "Delay beyond the shortest one, p99 of the worst link.",
            way,
            late_s,
        )

    def _pools(self) -> Iterable[tuple[Agent, LinkPool]]:
        for agent in self._links.all_agents():
            for pool in agent.pools:
                yield agent, pool


def _counters(totals: LinkTotals) -> Iterator[Metric]:
    opens: dict[tuple[str, ...], float] = {}
    ends: dict[tuple[str, ...], float] = {}
    exhausted: dict[tuple[str, ...], float] = {}
    for place, seen in totals.pools.items():
        opens[*place, "opened"] = seen.opened - seen.reopened
        opens[*place, "reopened"] = seen.reopened
        opens[*place, "failed"] = seen.failures
        ends[*place, "lost"] = seen.lost
        ends[*place, "retired"] = seen.retired
        exhausted[place] = seen.exhausted
    yield _counter(
        "edge_link_opens",
        "Dials: new links, links in place of lost ones, and failures.",
        (*_PLACE, "outcome"),
        opens,
    )
    yield _counter(
        "edge_link_ends",
        "Links that ended: lost, or retired for their age.",
        (*_PLACE, "reason"),
        ends,
    )
    yield _counter(
        "edge_links_exhausted",
        "Calls that found no free place on any link and crowded one, if any.",
        _PLACE,
        exhausted,
    )
    yield _counter(
        "edge_links_unavailable",
        "Calls that found no link ready to the agent they were placed with.",
        ("region",),
        {(region,): count for region, count in totals.unavailable.items()},
    )


def _note_worst(
    values: dict[tuple[str, ...], float], key: tuple[str, ...], value: float | None
) -> None:
    if value is not None:
        values[key] = max(values.get(key, 0.0), value)


def _gauge(name: str, text: str, labels: tuple[str, ...], values: _Values) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _counter(name: str, text: str, labels: tuple[str, ...], values: _Values) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family
