"""Dials into paths that lose everything, and over paths that are slow."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from backhaul.transports.base import LinkTransport
from edge.agent import Agent
from lab.wan import Route, WanRelay
from tests.integration.backhaul.links import eventually
from tests.integration.edge.fleet import (
    AgentDouble,
    FleetBench,
    frames,
    full,
    open_call,
    talk,
)

both_kinds = pytest.mark.parametrize("transport", ["quic", "websocket"])


@asynccontextmanager
async def over_a_relay(
    fleet: FleetBench, transport: LinkTransport, *, delay_ms: float = 0.0
) -> AsyncIterator[tuple[Agent, AgentDouble, WanRelay]]:
    """Yield an agent behind a relay, its double, and the relay."""
    double = await fleet.agent()
    route = Route("way", "127.0.0.1", double.port, delay_ms=delay_ms)
    relay = WanRelay([route])
    await relay.start()
    try:
        links = await fleet.fleet(
            (double.address,),
            detours={transport: {double.address: f"127.0.0.1:{relay.ports['way']}"}},
            link_transport=transport,
            link_standby="none",
            link_connect_timeout_s=60.0,
            heartbeat_timeout_s=5.0,
        )
        yield links.agents[double.address], double, relay
    finally:
        relay.unblock("way")
        for links in fleet.fleets:
            await links.aclose()
        await relay.aclose()


@both_kinds
async def test_a_path_that_loses_everything_is_tried_anew_again_and_again(
    fleet: FleetBench, transport: LinkTransport
) -> None:
    """No dial is answered, nor given up for a minute: others begin all the same."""
    async with over_a_relay(fleet, transport) as (agent, double, relay):
        await eventually(lambda: full(agent))
        via = fleet.via[transport]
        relay.block("way")
        await eventually(lambda: not agent.ready)
        begun = via.dials
        await eventually(lambda: via.dials >= begun + 10)
        # The slow one goes on, and one beside it at most for each link that is missing.
        assert via.under_way <= 3
        relay.unblock("way")
        await eventually(lambda: full(agent))
        assert agent.pools[0].pool.counters.failures >= 8
        call = open_call(agent)
        talk([call], 1)
        await eventually(lambda: bool(double.calls) and frames(double.calls[0]) == [1])
        await eventually(lambda: via.under_way == 0)
        await eventually(lambda: len(double.links) == len(agent.links()))


@both_kinds
async def test_a_path_is_not_too_slow_to_be_dialled(
    fleet: FleetBench, transport: LinkTransport
) -> None:
    """A dial takes longer than the next one waits for it."""
    async with over_a_relay(fleet, transport, delay_ms=500) as (agent, double, _):
        await eventually(lambda: full(agent), within_s=60)
        call = open_call(agent)
        talk([call], 1)
        await eventually(lambda: bool(double.calls) and frames(double.calls[0]) == [1])
        await eventually(lambda: fleet.via[transport].under_way == 0)
        await eventually(lambda: len(double.links) == len(agent.links()))
