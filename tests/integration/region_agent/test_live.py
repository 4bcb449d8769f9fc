"""What those see who look on while an agent works."""

from backhaul.core.messages import CloseReason
from lab.speech_files import load_line
from region_agent.live import AgentLive
from tests.integration.region_agent.bench import Bench, StartBench, eventually

COLD = """
[regions.home]
agents = []
[profiles.plain]
instructions = "Be kind."
warm_sessions = 1
[profiles.cold]
instructions = "Be patient."
warm_sessions = 0
"""


def live_of(bench: Bench) -> AgentLive:
    agent = bench.agent
    return AgentLive(
        agent_id="home-1",
        region="home",
        sessions=agent.sessions,
        listener=agent.listener,
        book=agent.services.metrics.book,
    )


async def test_pools_are_shown_by_profile(bench: Bench) -> None:
    said = live_of(bench).snapshot()
    assert (said["kind"], said["name"], said["region"]) == ("agent", "home-1", "home")
    pool = said["profiles"]["greeted"]
    assert (pool["warm"], pool["target"], pool["in_call"]) == (2, 2, 0)
    assert pool["oldest_s"] >= 0
    assert pool["last_proof_s"] >= 0
    assert pool["surge_left_s"] == 0.0


async def test_a_surge_is_shown_with_what_is_left_of_it(bench: Bench) -> None:
    bench.agent.sessions.surge(1.5, 300.0)
    said = live_of(bench).snapshot()
    assert said["surge_factor"] == 1.5
    assert 290 < said["profiles"]["greeted"]["surge_left_s"] <= 300


async def test_a_conversation_is_told_turn_by_turn(bench: Bench) -> None:
    live = live_of(bench)
    assert live.call("CA1") is None
    edge = await bench.connect()
    call = await edge.call("1")
    record = bench.record(call)
    call.speak(load_line("caller-2").audio + b"\xff" * 8000)
    await eventually(lambda: len(record.usage) > 0)
    said = live.call("CA1")
    assert said is not None
    (conversation,) = said["conversations"]
    assert conversation["turns"][-1]["kind"] == "reply"
    assert call.channel is not None
    call.channel.close(CloseReason.CALLER_HUNG_UP)
    await eventually(lambda: _end_reason(live) == "caller_hung_up")


def _end_reason(live: AgentLive) -> str:
    said = live.call("CA1")
    assert said is not None
    reason: str = said["conversations"][0]["end_reason"]
    return reason


async def test_a_profile_without_warm_sessions_opens_one_for_each_call(
    start: StartBench,
) -> None:
    bench = await start(config=COLD)
    await eventually(lambda: bench.agent.sessions.warm()["plain"] == 1)
    assert bench.agent.sessions.without_stock() == []
    edge = await bench.connect()
    call = await edge.call("1", "cold")
    assert call.session_id
    await eventually(lambda: bench.agent.sessions.warm()["cold"] == 0)
    pool = live_of(bench).snapshot()["profiles"]["cold"]
    assert (pool["target"], pool["warm"], pool["in_call"]) == (0, 0, 1)
