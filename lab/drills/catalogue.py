"""All drills."""

from types import MappingProxyType
from typing import Final

from lab.drills.checker import Allowed
from lab.drills.deploys import (
    deploy_agents,
    deploy_edges,
    expire_sessions,
    judge_deploy,
    judge_expiry,
    judge_kill,
    kill_edge,
)
from lab.drills.drill import Drill, under_calls
from lab.drills.healing import HEALING_S, heal_region, judge_heal
from lab.drills.model_faults import (
    close_sessions,
    deafen_sessions,
    hang_sessions,
    judge_left,
    judge_limit,
    limit_opens,
    mute_sessions,
    slow_model,
)
from lab.drills.process_faults import (
    judge_memory,
    judge_refusals,
    judge_stall,
    limit_descriptors,
    measure_memory,
    stall_loops,
)
from lab.drills.region_faults import (
    blackhole_region,
    flap_region,
    gray_region,
    hang_region,
    judge_flap,
    judge_gray,
    judge_loss,
    kill_region,
    lose_one_way,
)
from lab.drills.shape import Shape
from lab.drills.store_faults import hang_store, judge_store, kill_store
from lab.drills.verdict import Limits, Since
from lab.twilio_plan import ReadPause

__all__ = ["DRILLS"]

_SHORT_HEALING_S: Final = 10.0

_PATIENT: Final = {
    "region_agent": {"drain_timeout_s": 60.0},
    "edge": {"drain_timeout_s": 60.0, "handover_s": 60.0},
}
"""Who is told to stop has time."""

_REGIONS: Final = (
    Drill(
        "region-kill",
        "all agents of the region that has the calls are killed",
        under_calls(kill_region),
        limits=Limits(detect_ms=300, restore_ms=1000),
    ),
    Drill(
        "region-hang",
        "all agents of the region stop, and close nothing",
        under_calls(hang_region),
        limits=Limits(detect_ms=1000, restore_ms=2000),
    ),
    Drill(
        "region-blackhole",
        "nothing comes through to the region any more",
        under_calls(blackhole_region),
        limits=Limits(detect_ms=1000, restore_ms=2000),
    ),
    Drill(
        "asymmetric-loss",
        "30 % of what goes to the region is lost, nothing of what comes from it",
        under_calls(lose_one_way),
        allowed=Allowed(lost_s=1.0),
        judge=judge_loss,
    ),
    Drill(
        "gray-region",
        "a region is slow by 400 ms, and one reply in five fails",
        under_calls(gray_region),
        shape=Shape(own_models=True),
        judge=judge_gray,
    ),
    Drill(
        "heal",
        "a region that was killed comes back, under twice the load",
        under_calls(heal_region),
        shape=Shape(
            overrides={"edge": {"healing_s": HEALING_S}},
            in_short={"edge": {"healing_s": _SHORT_HEALING_S}},
            spare=2.2,
        ),
        judge=judge_heal,
    ),
    Drill(
        "flap",
        "a region vanishes for 5 s and is there for 5 s, for two minutes",
        under_calls(flap_region),
        shape=Shape(pause_s=35.0, short_pause_s=8.0),
        judge=judge_flap,
    ),
)

_MODELS: Final = (
    Drill(
        "model-close",
        "the model's endpoint closes each call's session in mid-reply, with 1011",
        under_calls(close_sessions),
        limits=Limits(restore_ms=800),
        since=Since.CLOSE,
    ),
    Drill(
        "model-429",
        "the model's endpoint opens no sessions for a while, and says 429",
        under_calls(limit_opens),
        judge=judge_limit,
    ),
    Drill(
        "model-slow",
        "replies begin 2.5 s later than usual",
        under_calls(slow_model),
    ),
    Drill(
        "model-hang",
        "the session of each call answers nothing any more, and stays open",
        under_calls(hang_sessions),
        limits=Limits(detect_ms=7000, restore_ms=8000),
    ),
    Drill(
        "model-mute",
        "the session of each call begins no response any more, and does all else",
        under_calls(mute_sessions),
        limits=Limits(detect_ms=25_000, restore_ms=26_000),
        judge=judge_left,
    ),
    Drill(
        "model-deaf",
        "the session of each call notices nothing of what its caller says any more",
        under_calls(deafen_sessions),
        limits=Limits(detect_ms=25_000, restore_ms=26_000),
        judge=judge_left,
    ),
)

_PLANNED: Final = (
    Drill(
        "session-expiry",
        "the model's endpoint ends sessions that have lived long enough",
        under_calls(expire_sessions),
        shape=Shape(
            overrides={
                "region_agent": {
                    "max_warm_age_s": 8.0,
                    "min_call_time_left_s": 30.0,
                    "rollover_lead_s": 28.0,
                }
            },
            model_arguments=("--session-lifetime-s", "45"),
            short_turns=3,
        ),
        limits=Limits(restore_ms=200),
        since=Since.LEFT,
        judge=judge_expiry,
    ),
    Drill(
        "agent-deploy",
        "every agent is told to stop, and started anew, one after the other",
        under_calls(deploy_agents),
        shape=Shape(
            turns=6,
            pause_s=15.0,
            short_turns=3,
            short_pause_s=3.0,
            spare=2.2,
            overrides=_PATIENT,
        ),
        since=Since.LEFT,
        judge=judge_deploy,
    ),
    Drill(
        "edge-kill",
        "the edge that has the calls is killed; the carrier asks another one",
        kill_edge,
        shape=Shape(edges=2),
        allowed=Allowed(streams=2, lost_s=1.0, errors=True),
        limits=Limits(restore_ms=3000, recovered=0.99),
        since=Since.STREAM,
        judge=judge_kill,
    ),
    Drill(
        "edge-deploy",
        "every edge is told to stop, and started anew, one after the other",
        deploy_edges,
        shape=Shape(
            edges=2,
            turns=6,
            pause_s=12.0,
            short_turns=3,
            short_pause_s=2.0,
            overrides=_PATIENT,
        ),
        allowed=Allowed(streams=3, lost_s=1.0),
        since=Since.STREAM,
        judge=judge_deploy,
    ),
)

_STORES: Final = (
    Drill(
        "redis-kill",
        "the Redis of every region is killed",
        under_calls(kill_store),
        judge=judge_store,
    ),
    Drill(
        "redis-hang",
        "the Redis of every region stops, and closes nothing",
        under_calls(hang_store),
        judge=judge_store,
    ),
)

_PROCESSES: Final = (
    Drill(
        "fd-limit",
        "an agent and an edge have hardly any file descriptor left",
        under_calls(limit_descriptors),
        shape=Shape(edges=2),
        judge=judge_refusals,
        live_only=True,
    ),
    Drill(
        "loop-stall",
        "an edge, and then an agent, stands still for 0.3 s again and again",
        under_calls(stall_loops),
        judge=judge_stall,
    ),
    Drill(
        "slow-consumer",
        "the carrier reads nothing for 6 s",
        under_calls(measure_memory),
        shape=Shape(read_pause=ReadPause(from_s=9.0, for_s=6.0)),
        judge=judge_memory,
    ),
)

DRILLS: Final = MappingProxyType(
    {
        drill.name: drill
        for drill in (
            *_REGIONS,
            *_PLANNED,
            *_MODELS,
            *_STORES,
            *_PROCESSES,
        )
    }
)
"""Every drill, by its name."""
