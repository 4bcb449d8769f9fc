"""What an edge does about regions that die, fail, and come back."""

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from backhaul.channel_table import ChannelTables
from backhaul.core.checkpoint import CallerSaid, Checkpoint
from backhaul.core.messages import CloseReason
from backhaul.credentials import LinkCredentials
from backhaul.pki import Role, TlsFiles, server_context
from backhaul.transports.ports import listen_everywhere
from edge.core.region_health import RegionState
from tests.integration.edge.streams import AUDIO, GREETING_AUDIO, heard, ring, start
from tests.integration.edge.streams import stream as open_stream

if TYPE_CHECKING:
    from tests.integration.conftest import Bench, MakeBench, ScriptedAgent

KEPT = Checkpoint(1, (CallerSaid("A table for two?"),))


def state(bench: "Bench", region: str = "home") -> RegionState:
    return bench.edge.watch.regions[region].health.state


def share(bench: "Bench", region: str = "home") -> float:
    return bench.edge.links.router.shares.of(region)


async def ring_for(bench: "Bench", numbers: range) -> None:
    for number in numbers:
        await bench.post(form=bench.sids(number))


def requests(agent: "ScriptedAgent", numbers: range) -> int:
    wanted = {f"CA{number:032x}" for number in numbers}
    return sum(one.call_sid in wanted for one in agent.requests)


async def come_back(bench: "Bench", region: str) -> None:
    """Let an agent listen again where it did before."""
    agent = bench.agents[region]
    files = TlsFiles.of(bench.settings.pki_dir, Role.REGION_AGENT, region)
    quic = await asyncio.to_thread(LinkCredentials.load, files)
    (address,) = bench.settings.regions[region].agents
    agent.tables, agent.instance = ChannelTables(grace_s=0), "its next process"
    agent.tcp, agent.quic = await listen_everywhere(
        agent.accept,
        "127.0.0.1",
        int(address.rpartition(":")[2]),
        context=server_context(files),
        quic=quic,
    )


async def test_a_region_that_dies_heals_before_it_gets_calls(
    make_bench: "MakeBench", wait: Any
) -> None:
    bench = await make_bench(("home", "away"), agent={"max_calls": 500, "warm": 500})
    home = bench.agents["home"]
    await wait(lambda: bench.edge.watch.regions["home"].health.reached)
    await home.aclose()
    await wait(lambda: state(bench) is RegionState.DOWN)
    assert share(bench) == 0.0
    assert state(bench, "away") is RegionState.HEALTHY
    await come_back(bench, "home")
    await wait(lambda: state(bench) is RegionState.HEALING)
    await wait(lambda: len(home.surges) == 1)
    assert home.surges[0].factor == 1.5
    assert 295 < home.surges[0].length_s <= 300
    await ring_for(bench, range(1, 21))
    assert requests(home, range(1, 21)) == 0
    assert requests(bench.agents["away"], range(1, 21)) == 20
    home.surge = 1.5
    home.push_stock()
    await wait(lambda: share(bench) == 0.1)
    await ring_for(bench, range(21, 121))
    assert 1 <= requests(home, range(21, 121)) <= 30
    shown = {"region": "home", "state": "healing"}
    assert bench.metric("edge_region_state", **shown) == 1
    assert bench.metric("edge_region_share", region="home") == 0.1
    await wait(lambda: len(home.surges) == 1)


async def live_call(bench: "Bench", socket: Any, wait: Any) -> Any:
    await socket.send(start())
    await wait(lambda: bool(bench.agents["home"].calls))
    call = bench.agents["home"].calls[0]
    call.channel.send_audio(AUDIO)
    call.channel.send(KEPT)
    await heard(socket, at_least=len(GREETING_AUDIO + AUDIO))
    return call


async def test_live_calls_leave_a_region_that_fails(
    make_bench: "MakeBench", wait: Any
) -> None:
    bench = await make_bench(("home", "away"))
    home, away = bench.agents["home"], bench.agents["away"]
    async with open_stream(bench, await ring(bench)) as socket:
        before = await live_call(bench, socket, wait)
        home.refuse_with = home.refuse_cold_with = CloseReason.MODEL_UNAVAILABLE
        await ring_for(bench, range(2, 9))
        await wait(lambda: state(bench) is RegionState.DOWN)
        await wait(lambda: before.closed is CloseReason.HANDED_OVER)
        after = away.calls[-1]
        assert after.message.call_sid == before.message.call_sid
        assert after.message.checkpoint == KEPT
        assert bench.edge.calls.live()[0].machine.streams == 1
    shown = {"region": "home", "state": "down", "reason": "failing"}
    assert bench.metric("edge_region_changes_total", **shown) == 1


@pytest.mark.parametrize("regions", [("home",), ("home", "away")])
async def test_where_all_fail_nobody_is_given_up(
    make_bench: "MakeBench", wait: Any, regions: tuple[str, ...]
) -> None:
    bench = await make_bench(regions)
    for agent in bench.agents.values():
        agent.refuse_with = agent.refuse_cold_with = CloseReason.MODEL_UNAVAILABLE
    await ring_for(bench, range(1, 9))
    watched = bench.edge.watch.regions.values()
    await wait(lambda: all(one.signs for one in watched))
    failing = [one for one in watched if one.health.state is RegionState.SUSPECT]
    assert len(failing) == len(regions)
    await wait(lambda: not any(one.signs for one in watched))
    await wait(lambda: all(state(bench, one) is RegionState.HEALTHY for one in regions))
    assert all(share(bench, one) == 1.0 for one in regions)
    changes = [one.changes for one in watched]
    assert not any(to is RegionState.DOWN for change in changes for to, _ in change)


async def test_an_operator_sees_what_is_thought_of_a_region(
    make_bench: "MakeBench",
) -> None:
    bench = await make_bench(("home",))
    headers = {"Authorization": "Bearer admin"}
    url = f"http://127.0.0.1:{bench.edge.admin_port}/api/fabric"
    async with bench.http.get(url, headers=headers) as response:
        (region,) = (await response.json())["regions"]
    assert region["since_s"] >= 0
    del region["agents"], region["since_s"]
    assert region == {
        "name": "home",
        "state": "healthy",
        "share": 1.0,
        "reason": "",
        "signs": [],
        "surge_left_s": 0.0,
    }
