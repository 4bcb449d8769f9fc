"""What each worker of an agent is told."""

from pathlib import Path

import msgspec

from backhaul.settings import Secret
from region_agent.settings import RegionAgentSettings
from region_agent.workers import worker_environment

SETTINGS = RegionAgentSettings(
    region="home",
    openai_api_key=Secret("sk"),
    agent_id="home-1",
    workers=3,
    listen_port=8443,
    admin_port=9000,
    advertise_address="[2001:db8::1]:443",
    recording_spool=Path("/spool"),
)


def test_each_worker_is_an_agent_of_its_own() -> None:
    assert worker_environment(SETTINGS, 2, redis_url="unix:///x") == {
        "REGION_AGENT_WORKERS": "1",
        "REGION_AGENT_AGENT_ID": "home-1-2",
        "REGION_AGENT_LISTEN_PORT": "8445",
        "REGION_AGENT_ADMIN_HOST": "127.0.0.1",
        "REGION_AGENT_ADMIN_PORT": "0",
        "REGION_AGENT_RECORDING_SPOOL": "/spool/2",
        "REGION_AGENT_REDIS_URL": "unix:///x",
        "REGION_AGENT_ECS_AGENT_URI": "",
        "REGION_AGENT_ADVERTISE_ADDRESS": "[2001:db8::1]:445",
    }


def test_a_port_that_is_picked_is_picked_by_each() -> None:
    settings = msgspec.structs.replace(SETTINGS, listen_port=0, advertise_address="")
    found = worker_environment(settings, 2, redis_url="")
    assert found["REGION_AGENT_LISTEN_PORT"] == "0"
    assert "REGION_AGENT_ADVERTISE_ADDRESS" not in found


def test_ports_of_workers_are_no_others() -> None:
    changed = {"admin_port": 8445, "ecs_agent_uri": "http://169.254.170.2/api/x"}
    assert SETTINGS.problems() == ()
    assert msgspec.structs.replace(SETTINGS, **changed).problems() == (
        "admin_port: 8445 is the link port of a worker",
        "workers: without admin_token their calls cannot be protected on ECS",
    )
    assert msgspec.structs.replace(SETTINGS, workers=1, **changed).problems() == ()
