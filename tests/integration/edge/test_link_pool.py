"""Links of an edge over real sockets: they die, age and stall, and calls go on."""

import asyncio
import contextlib
import socket
from dataclasses import dataclass

import pytest

from backhaul.core.messages import CloseReason, Opened, Receipt
from edge.core.transport_choice import (
    ChoiceConfig,
    Measured,
    TransportChanged,
    TransportChooser,
)
from edge.link_collector import LinkCollector
from tests.integration.backhaul.links import eventually
from tests.integration.edge.fleet import (
    AgentDouble,
    FleetBench,
    frames,
    full,
    open_call,
    open_sockets,
    talk,
    transports,
    two_ways,
)


async def test_it_keeps_links_over_both_transports_and_uses_the_preferred(
    fleet: FleetBench,
) -> None:
    agent, double = await fleet.pair(link_transport="quic", link_headroom=0)
    assert {link.transport_name for link in agent.links()} == {"quic", "websocket"}
    # Whatever can carry a call first does, until the preferred one is there.
    await eventually(lambda: agent.seats.chosen.transport == "quic")
    call = open_call(agent)
    assert transports([call]) == {"quic"}
    await eventually(lambda: len(double.calls) == 1)
    double.calls[0].open_channel.send(Opened("sess_1"))
    await eventually(lambda: call.messages == [Opened("sess_1")])
    call.open_channel.close(CloseReason.CALLER_HUNG_UP)
    agent.seats.release(call.open_channel)
    assert agent.call_count == 0
    assert agent.seats.chosen.pool.stock().uses == 0


async def test_a_call_on_a_link_that_dies_goes_on_over_another(
    fleet: FleetBench,
) -> None:
    agent, double = await fleet.pair()
    calls = [open_call(agent) for _ in range(3)]
    await eventually(lambda: len(double.calls) == 3)
    first = calls[0].open_channel.link
    assert first is not None
    for number in range(100):
        talk(calls, number)
        if number == 50:
            first.close("killed")
        await asyncio.sleep(0)
    await eventually(lambda: all(len(frames(c)) == 100 for c in double.calls))
    assert all(frames(call) == list(range(100)) for call in double.calls)
    assert not any(call.closed for call in (*calls, *double.calls))
    assert fleet.moves("lost") == 3
    await eventually(lambda: full(agent))
    assert agent.pools[0].pool.counters.reopened == 1


async def test_links_come_back_when_the_agent_does(fleet: FleetBench) -> None:
    agent, double = await fleet.pair(link_transport="quic")
    old_links, accepted = set(agent.links()), double.accepted
    call = open_call(agent)
    await eventually(lambda: len(double.calls) == 1)
    await double.stop()
    await eventually(lambda: not agent.ready)
    await eventually(lambda: call.closed == [CloseReason.LINK_LOST])
    agent.seats.release(call.open_channel)
    assert agent.smoothed_rtt_s is None
    assert (agent.call_count, agent.seats.chosen.pool.stock().uses) == (0, 0)
    await double.start()
    await eventually(lambda: full(agent))
    assert agent.ready
    assert agent.smoothed_rtt_s is not None
    assert old_links.isdisjoint(agent.links())
    assert [len(pool.usable) for pool in agent.pools] == [2, 1]
    assert [pool.pool.counters.reopened for pool in agent.pools] == [2, 1]
    assert double.accepted >= accepted + 3
    # They carry calls, of the transport that is preferred as soon as it is there.
    new = open_call(agent)
    talk([new], 7)
    await eventually(lambda: len(double.calls) == 2)
    await eventually(lambda: frames(double.calls[1]) == [7])
    await eventually(lambda: transports([new]) == {"quic"})


async def test_an_agent_that_started_anew_does_not_get_the_calls_of_the_old_one(
    fleet: FleetBench,
) -> None:
    agent, old = await fleet.pair()
    call = open_call(agent)
    new = AgentDouble(old._files, instance="second")
    new.port = old.port
    fleet.agents.append(new)
    assert old._tcp is not None
    assert old._quic is not None
    old._tcp.close()
    await old._quic.aclose()
    await new.start()
    one, other = old.links
    link = call.open_channel.link
    assert link is not None
    # The edge's other link dies first, and is replaced by one to the new process.
    spare = next(each for each in agent.links() if each is not link)
    spare.close("killed")
    await eventually(lambda: len(new.links) >= 1)
    link.close("killed")
    await eventually(lambda: call.closed == [CloseReason.LINK_LOST])
    assert new.calls == []
    assert {one, other}.isdisjoint(new.links)


async def test_links_are_replaced_when_they_are_old_and_calls_hear_nothing(
    fleet: FleetBench,
) -> None:
    agent, double = await fleet.pair(link_max_age_s=1.0)
    calls = [open_call(agent) for _ in range(3)]
    await eventually(lambda: len(double.calls) == 3)
    for number in range(150):
        talk(calls, number)
        await asyncio.sleep(0.02)
    await eventually(lambda: fleet.moves("age") >= 3)
    await eventually(lambda: all(len(frames(c)) == 150 for c in double.calls))
    assert all(frames(call) == list(range(150)) for call in double.calls)
    assert not any(call.closed for call in (*calls, *double.calls))
    counters = agent.pools[0].pool.counters
    await eventually(lambda: counters.retired >= 2)
    assert (counters.lost, counters.failures) == (0, 0)


async def test_the_standby_takes_the_calls_when_udp_dies_and_gives_them_back(
    fleet: FleetBench,
) -> None:
    async with two_ways(fleet) as (double, relay):
        links = await fleet.fleet(
            (double.address,),
            detours={
                "quic": {double.address: f"127.0.0.1:{relay.ports['udp']}"},
                "websocket": {double.address: f"127.0.0.1:{relay.ports['tcp']}"},
            },
            link_transport="quic",
            link_connect_timeout_s=1.0,
            heartbeat_timeout_s=2.0,
        )
        agent = links.agents[double.address]
        agent.seats.chooser = TransportChooser(ChoiceConfig(well_s=0.5))
        await eventually(lambda: full(agent))
        calls = [open_call(agent) for _ in range(5)]
        await eventually(lambda: len(double.calls) == 5)
        assert transports(calls) == {"quic"}
        talk(calls, 0)
        relay.block("udp")
        talk(calls, 1)
        await eventually(lambda: transports(calls) == {"websocket"})
        talk(calls, 2)
        await eventually(lambda: all(len(frames(c)) == 3 for c in double.calls))
        # More, if some went to another link over UDP first.
        assert fleet.moves("stall") >= 5
        relay.unblock("udp")
        await eventually(lambda: transports(calls) == {"quic"})
        talk(calls, 3)
        await eventually(lambda: all(len(frames(c)) == 4 for c in double.calls))
        assert all(frames(call) == [0, 1, 2, 3] for call in double.calls)
        assert not any(call.closed for call in (*calls, *double.calls))
        assert fleet.moves("choice") == 5


async def test_calls_stay_when_the_standby_dies(fleet: FleetBench) -> None:
    async with two_ways(fleet) as (double, relay):
        links = await fleet.fleet(
            (double.address,),
            detours={
                "quic": {double.address: f"127.0.0.1:{relay.ports['udp']}"},
                "websocket": {double.address: f"127.0.0.1:{relay.ports['tcp']}"},
            },
            link_transport="quic",
            heartbeat_timeout_s=2.0,
        )
        agent = links.agents[double.address]
        await eventually(lambda: full(agent))
        call = open_call(agent)
        relay.block("tcp")
        await eventually(lambda: not agent.pools[1].usable)
        talk([call], 0)
        await eventually(lambda: bool(double.calls) and frames(double.calls[0]) == [0])
        assert transports([call]) == {"quic"}
        assert (fleet.moves("stall"), fleet.moves("lost")) == (0, 0)


async def test_loss_spreads_calls_over_more_tcp_links(fleet: FleetBench) -> None:
    double = await fleet.agent()
    double.say_nothing_of_arrivals()
    links = await fleet.fleet((double.address,))
    agent = links.agents[double.address]
    await eventually(lambda: full(agent))
    calls = [open_call(agent) for _ in range(8)]
    await eventually(lambda: len(double.calls) == 8)
    assert len({call.open_channel.link for call in calls}) == 1

    def spread() -> bool:
        double.reports(Receipt(loss=0.05))
        return len({call.open_channel.link for call in calls}) == 8

    await eventually(spread)
    assert fleet.moves("spread") >= 7
    talk(calls, 0)
    await eventually(lambda: all(frames(call) == [0] for call in double.calls))
    assert not any(call.closed for call in calls)


async def test_no_more_dials_at_once_than_allowed_and_none_kept_from_the_others(
    fleet: FleetBench,
) -> None:
    """Fifty agents whose hosts accept connections and then say nothing."""
    with contextlib.ExitStack() as stack:
        deaf: list[str] = []
        for _ in range(50):
            listening = socket.create_server(("127.0.0.1", 0), backlog=16)
            stack.enter_context(listening)
            deaf.append(f"127.0.0.1:{listening.getsockname()[1]}")
        links = await fleet.fleet(
            tuple(deaf), link_max_dials=8, link_connect_timeout_s=0.5
        )
        via = fleet.via["websocket"]
        await eventually(lambda: via.dials >= 24)
        double = await fleet.agent()
        links.add(double.address, "home")
        await eventually(lambda: links.agents[double.address].ready)
        assert via.most == 8
        assert links.dials.budget.under_way <= 8


async def test_agents_come_and_go_at_run_time(fleet: FleetBench) -> None:
    agent, double = await fleet.pair(token_ttl_s=0.1)
    links = fleet.fleets[0]
    call = open_call(agent)
    await eventually(lambda: len(double.calls) == 1)
    agent.links()[1].close("killed")
    await eventually(lambda: agent.pools[0].pool.counters.reopened == 1)
    links.remove(double.address)
    assert links.agents == {}
    talk([call], 0)
    await eventually(lambda: frames(double.calls[0]) == [0])
    links.add(double.address, "home")
    assert links.agents[double.address] is agent, "it was still there"
    links.add(double.address, "home")
    links.remove(double.address)
    links.remove(double.address)
    call.open_channel.close(CloseReason.CALLER_HUNG_UP)
    agent.seats.release(call.open_channel)
    await eventually(lambda: links.all_agents() == ())
    await eventually(lambda: not double.links)
    # What was counted stays counted.
    opened = links.totals().opened
    assert opened >= 3
    fleet.metrics.registry.register(LinkCollector(links))
    place = {"region": "home", "transport": "websocket"}
    for name, labels, least in (
        ("edge_link_opens_total", place | {"outcome": "opened"}, 2),
        ("edge_link_opens_total", place | {"outcome": "reopened"}, 1),
        ("edge_link_ends_total", place | {"reason": "lost"}, 1),
        ("edge_link_ends_total", place | {"reason": "retired"}, 2),
        ("edge_links_exhausted_total", place, 0),
        ("edge_links_unavailable_total", {"region": "home"}, 0),
    ):
        seen = fleet.metrics.registry.get_sample_value(name, labels)
        assert seen is not None, (name, labels)
        assert seen >= least, (name, labels)
    links.add(double.address, "home")
    assert links.agents[double.address] is not agent
    await eventually(lambda: links.agents[double.address].ready)
    assert links.totals().opened > opened


@dataclass
class Chooser(TransportChooser):
    """Says how often it was asked, and fails if it is told to."""

    broken: bool
    asked: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def handle(self, event: Measured, *, now: float) -> tuple[TransportChanged, ...]:
        self.asked += 1
        if self.broken:
            raise ValueError("a fault of ours")
        return super().handle(event, now=now)


async def test_what_goes_wrong_with_one_agent_leaves_the_others_watched(
    fleet: FleetBench,
) -> None:
    problems: list[object] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: problems.append(context["exception"])
    )
    doubles = [await fleet.agent() for _ in range(3)]
    links = await fleet.fleet(tuple(one.address for one in doubles))
    choosers = [Chooser(broken=number == 0) for number in range(3)]
    for agent, chooser in zip(links.agents.values(), choosers, strict=True):
        agent.seats.chooser = chooser
    await eventually(lambda: all(chooser.asked > 3 for chooser in choosers))
    assert problems
    assert all(isinstance(one, ValueError) for one in problems)


async def test_metrics_tell_of_links_by_region_and_transport(
    fleet: FleetBench,
) -> None:
    agent, _ = await fleet.pair(link_transport="quic")
    registry = fleet.metrics.registry
    registry.register(LinkCollector(fleet.fleets[0]))
    call = open_call(agent)
    place = {"region": "home", "transport": "quic"}
    standby = place | {"transport": "websocket"}

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    assert value("edge_links", **place, state="ready") == 2
    assert value("edge_links", **standby, state="standby") == 1
    assert value("edge_link_calls", **place) == 1
    assert value("edge_link_opens_total", **place, outcome="opened") == 2
    assert value("edge_link_opens_total", **place, outcome="reopened") == 0
    assert value("edge_links_exhausted_total", **place) == 0
    assert value("edge_links_unavailable_total", region="home") == 0
    assert value("edge_dials_under_way") == 0
    assert value("edge_link_acquisition_seconds_count") == 1
    rtt_s = value("edge_link_rtt_seconds", **place)
    assert rtt_s is not None
    assert 0 < rtt_s < 10
    assert value("edge_link_loss_ratio", **place, direction="sent") is not None
    assert (
        value("edge_link_late_p99_seconds", **place, direction="received") is not None
    )
    call.open_channel.close(CloseReason.CALLER_HUNG_UP)
    agent.seats.release(call.open_channel)
    agent.seats.release(call.open_channel)
    assert value("edge_link_calls", **place) == 0


@pytest.mark.parametrize("transport", ["quic", "http2", "websocket"])
async def test_dials_that_are_given_up_leave_nothing_at_the_agent(
    fleet: FleetBench, transport: str
) -> None:
    double = await fleet.agent()
    before = open_sockets()
    for turns in range(0, 120, 6):
        links = await fleet.fleet((double.address,), link_transport=transport)
        for _ in range(turns):
            await asyncio.sleep(0.0005)
        await links.aclose()
    await eventually(lambda: not double.links)
    await eventually(lambda: open_sockets() <= before)


@pytest.mark.timeout(120)
async def test_five_hundred_links_leave_nothing_behind(fleet: FleetBench) -> None:
    agent, double = await fleet.pair(link_floor=24)
    before = (open_sockets(), tasks())
    rounds = 0
    while double.accepted < 525:
        rounds += 1
        double.kill_links()
        await eventually(lambda: not agent.links())
        await eventually(lambda: full(agent))
    await eventually(lambda: (open_sockets(), tasks()) <= before)
    assert rounds > 10


def tasks() -> int:
    return len(asyncio.all_tasks())
