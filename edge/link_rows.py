"""Every link of an edge as one row, for operators."""

from collections.abc import Iterator

from backhaul.core.messages import Receipt
from backhaul.core.warm_pool_events import ConnectionState
from edge.agent import Agent
from edge.link_pool import LinkPool
from edge.pooled_link import PooledLink

__all__ = ["link_rows", "link_state"]


def link_rows(agent: Agent, *, now: float) -> Iterator[dict[str, object]]:
    """Yield a row for every link to *agent*, dials under way included.

    Args:
        agent: The agent.
        now: Monotonic time (s).
    """
    for pool in agent.pools:
        for number, state in pool.pool.states().items():
            pooled = pool.links.get(number)
            shown = link_state(agent, pool, pooled, state)
            row: dict[str, object] = {
                "agent": agent.agent_id,
                "address": agent.address,
                "region": agent.region,
                "transport": pool.transport,
                "number": number,
                "state": shown,
            }
            yield row | _figures(pooled, now)


def link_state(
    agent: Agent, pool: LinkPool, pooled: PooledLink | None, state: ConnectionState
) -> str:
    """Return where a link stands: opening, ready, standby, stalled or draining."""
    if state is ConnectionState.OPENING or pooled is None or pooled.ready_at is None:
        return "opening"
    if pooled.stalled:
        return "stalled"
    if state is ConnectionState.DRAINING or agent.draining:
        return "draining"
    return "ready" if pool is agent.seats.chosen else "standby"


def _figures(pooled: PooledLink | None, now: float) -> dict[str, object]:
    if pooled is None or pooled.ready_at is None:
        return {
            **dict.fromkeys(("rtt_ms", "loss_sent_percent", "loss_received_percent")),
            **dict.fromkeys(("late_p99_sent_ms", "late_p99_received_ms", "age_s")),
            "channels": 0,
        }
    link, quality = pooled.link, pooled.link.quality
    rtt_s = link.smoothed_rtt_s
    return {
        "rtt_ms": None if rtt_s is None else round(rtt_s * 1000, 3),
        "loss_sent_percent": _loss(quality.sent),
        "loss_received_percent": _loss(quality.received),
        "late_p99_sent_ms": _late(quality.sent),
        "late_p99_received_ms": _late(quality.received),
        "age_s": round(now - pooled.ready_at, 3),
        "channels": link.channel_count,
    }


def _loss(receipt: Receipt | None) -> float | None:
    return None if receipt is None else round(receipt.loss * 100, 3)


def _late(receipt: Receipt | None) -> float | None:
    return None if receipt is None else round(receipt.late_p99_s * 1000, 3)
