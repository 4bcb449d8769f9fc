"""Sessions that are reserved for calls, and never kept for nobody."""

import asyncio

from backhaul.core.messages import CloseReason, LeaseGranted, LeaseRefused, Message
from edge.links import Lease
from tests.integration.backhaul.links import OPEN, eventually
from tests.integration.edge.fleet import AgentDouble, FleetBench, full


class Nobody:
    """A call's end of a channel that hears nothing."""

    def on_audio(self, audio: bytes) -> None: ...
    def on_message(self, message: Message) -> None: ...
    def on_channel_closed(self, reason: CloseReason) -> None: ...


async def test_a_lease_is_given_back_over_any_link(fleet: FleetBench) -> None:
    agent, double = await fleet.pair()
    lease = await fleet.fleets[0].lease(agent, call_sid="CA1", profile="desk")
    assert isinstance(lease, Lease)
    assert agent.link is not None
    agent.link.close("killed")
    await eventually(lambda: len(agent.links()) == 1)
    lease.release()
    await eventually(lambda: given_back(double) == [lease.lease_id])


async def test_without_a_link_a_call_is_turned_away_at_once_and_nothing_is_opened(
    fleet: FleetBench,
) -> None:
    agent, double = await fleet.pair()
    links = fleet.fleets[0]
    lease = await links.lease(agent, call_sid="CA1", profile="desk")
    assert isinstance(lease, Lease)
    await double.stop()
    await eventually(lambda: not agent.ready)
    before = [pool.pool.states() for pool in agent.pools]
    exhausted = sum(pool.pool.counters.exhausted for pool in agent.pools)
    assert lease.open_channel(Nobody(), OPEN) is None
    assert [pool.pool.states() for pool in agent.pools] == before
    assert [pool.pool.counters.cold for pool in agent.pools] == [0] * len(before)
    assert sum(one.pool.counters.exhausted for one in agent.pools) == exhausted + 1
    assert (agent.counters.unavailable, agent.call_count) == (1, 0)
    refused = await links.lease(agent, call_sid="CA1", profile="desk")
    assert isinstance(refused, LeaseRefused)
    assert refused.reason is CloseReason.LINK_LOST
    lease.release()


async def test_what_is_granted_too_late_is_given_back_where_it_came_from(
    fleet: FleetBench,
) -> None:
    agent, double = await fleet.pair(lease_timeout_s=0.3)
    double.silent = True
    refused = await fleet.fleets[0].lease(agent, call_sid="CA1", profile="desk")
    assert isinstance(refused, LeaseRefused)
    assert refused.reason is CloseReason.NO_ANSWER
    ((request, asked),) = double.requests
    await eventually(lambda: double.released == [(request.lease_id, asked)])
    other = next(link for link in double.links if link is not asked)
    other.send(LeaseGranted(request.lease_id, warm=True))
    await eventually(lambda: double.released[1:] == [(request.lease_id, other)])


async def test_what_was_asked_over_a_link_that_died_is_given_back_over_another(
    fleet: FleetBench,
) -> None:
    agent, double = await fleet.pair(lease_timeout_s=60.0)
    double.silent = True
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(
            fleet.fleets[0].lease(agent, call_sid="CA1", profile="desk")
        )
        await eventually(lambda: bool(double.requests))
        ((request, asked),) = double.requests
        asked.close("killed")
    refused = waiting.result()
    assert isinstance(refused, LeaseRefused)
    assert refused.reason is CloseReason.LINK_LOST
    await eventually(lambda: given_back(double) == [request.lease_id])
    assert double.released[0][1] is not asked
    await eventually(lambda: full(agent))


async def test_a_link_that_stalls_is_not_alone_to_give_back_what_it_asked_for(
    fleet: FleetBench,
) -> None:
    agent, double = await fleet.pair(lease_timeout_s=60.0)
    double.silent = True
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(
            fleet.fleets[0].lease(agent, call_sid="CA1", profile="desk")
        )
        await eventually(lambda: bool(double.requests))
        pooled = agent.seats.chosen.usable
        stalled = next(one for one in pooled if one.link is agent.link)
        stalled.stalled = True  # until it is looked at again
        waiting.cancel()
    assert waiting.cancelled()
    ((request, asked),) = double.requests
    await eventually(lambda: given_back(double) == [request.lease_id] * 2)
    assert {link for _, link in double.released} == set(double.links)
    assert asked in double.links


def given_back(double: AgentDouble) -> list[str]:
    return [lease_id for lease_id, _ in double.released]
