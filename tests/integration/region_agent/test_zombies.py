"""Sessions whose socket is open but dead: found out of band, never given to a call."""

import itertools

import aiohttp

from backhaul.clock import monotonic_s
from backhaul.core.messages import LeaseGranted, LeaseRelease, Open
from lab.realtime_faults import Fault
from lab.realtime_session import BecomeZombie
from tests.integration.region_agent.bench import (
    Bench,
    EdgeEnd,
    StartBench,
    eventually,
)

INTERVAL_S = 6.0
CONFIG = """
[regions.home]
agents = []
[profiles.patient]
instructions = "Listen."
silence = { after_s = 0 }
length = { max_s = 0 }
caller_speaks_first = true
warm_sessions = 3
"""


async def started(start: StartBench) -> Bench:
    bench = await start(
        config=CONFIG,
        REGION_AGENT_PROOF_INTERVAL_S=str(INTERVAL_S),
        REGION_AGENT_PROOF_TIMEOUT_S="1",
    )
    await eventually(lambda: warm(bench) == 3)
    return bench


def warm(bench: Bench) -> int:
    return bench.agent.sessions.warm()["patient"]


def standing(bench: Bench, state: str) -> set[object]:
    rows = bench.agent.sessions.by_profile["patient"].session_rows()
    return {row["session_id"] for row in rows if row["state"] == state}


async def lease_often(
    bench: Bench, edge: EdgeEnd, numbers: "itertools.count[int]", *, until_s: float
) -> set[object]:
    """Lease and give back; return the sessions that were lent."""
    lent: set[object] = set()
    while monotonic_s() < until_s:
        lease_id = str(next(numbers))
        if isinstance(await edge.lease(lease_id), LeaseGranted):
            lent |= standing(bench, "leased")
            edge.open_link.send(LeaseRelease(lease_id))
    return lent


async def test_a_session_that_is_born_dead_is_never_lent(start: StartBench) -> None:
    bench = await started(start)
    bench.model.faults.plan(Fault.ZOMBIE, count=2, seconds=0)
    before = {session.session_id for session in bench.model.sessions}
    bench.model.strike(Fault.EXPIRE_NOW, 2)
    edge = await bench.connect()
    lent = await lease_often(bench, edge, itertools.count(), until_s=monotonic_s() + 3)
    zombies = [
        session.session_id
        for session in bench.model.sessions
        if session.session_id not in before
    ][:2]
    assert lent
    assert lent.isdisjoint(zombies)
    await eventually(lambda: warm(bench) >= 3)
    assert bench.agent.sessions.by_profile["patient"].pool.counters.zombies == 2


async def test_a_session_that_dies_in_stock_is_replaced_within_the_interval(
    start: StartBench,
) -> None:
    bench = await started(start)
    (oldest, *_) = bench.model.sessions
    assert bench.model.strike(Fault.ZOMBIE_NOW, 1) == 1
    died_at = monotonic_s()
    await eventually(lambda: oldest.session_id not in standing(bench, "verified"))
    await eventually(lambda: warm(bench) == 3)
    assert monotonic_s() - died_at < INTERVAL_S
    await eventually(lambda: oldest.state == "closed")
    edge = await bench.connect()
    assert isinstance(await edge.lease("1"), LeaseGranted)
    assert standing(bench, "leased").isdisjoint({oldest.session_id})


async def test_a_session_that_dies_unnoticed_is_exchanged_before_the_call(
    start: StartBench,
) -> None:
    bench = await started(start)
    edge = await bench.connect()
    sessions = bench.agent.sessions.by_profile["patient"]
    lent_next = sessions.pool._stock.oldest()
    assert lent_next is not None
    dead = sessions._sessions[lent_next.number].session_id
    bench.model._live[dead].feed(BecomeZombie())
    assert isinstance(await edge.lease("1"), LeaseGranted)
    await eventually(lambda: sessions.pool.counters.leases_moved == 1)
    call = await edge.open(Open("1", "CA1", "patient"))
    assert call.session_id != dead


async def test_an_operator_sees_age_and_last_proof(start: StartBench) -> None:
    bench = await started(start)
    url = f"http://127.0.0.1:{bench.agent.admin_port}"
    head = {"Authorization": "Bearer letmein"}
    async with aiohttp.ClientSession(headers=head) as http:
        async with http.get(f"{url}/api/pool") as answer:
            pool = (await answer.json())["profiles"]["patient"]
        async with http.get(f"{url}/metrics") as answer:
            metrics = await answer.text()
    assert pool["target"] == 3
    assert len(pool["each_session"]) == 3
    for row in pool["each_session"]:
        assert row["state"] == "verified"
        assert row["session_id"].startswith("sess_")
        assert 0 <= row["last_proof_s"] <= row["age_s"] < 20
    assert pool["measured"]["proof_s"] > 0
    assert 'pool_sessions{profile="patient",state="verified"} 3.0' in metrics
    assert 'session_ends_total{profile="patient",reason="zombie"} 0.0' in metrics
    assert 'capacity_calls{limit="max"} 50.0' in metrics
