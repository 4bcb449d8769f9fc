from pathlib import Path

import pytest

from backhaul.errors import SettingsError
from backhaul.settings import masked, read_deployment
from region_agent.settings import RegionAgentSettings, load_settings

FILE = """
[regions.home]
agents = []
[profiles.desk]
instructions = "Be kind."
[region_agent]
pki_dir = "certs"
max_calls = 30
realtime_headers = { OpenAI-Project = "proj_1" }
"""
ENVIRON = {
    "REGION_AGENT_REGION": "home",
    "REGION_AGENT_ADMIN_TOKEN": "letmein",
    "OPENAI_API_KEY": "sk-secret",
}


def load(
    directory: Path, environ: dict[str, str] | None = None, file: str = FILE
) -> RegionAgentSettings:
    path = directory / "warmline.toml"
    path.write_text(file)
    return load_settings(read_deployment(path), environ=ENVIRON | (environ or {}))


def test_environment_wins_over_file_over_default(tmp_path: Path) -> None:
    settings = load(tmp_path, {"REGION_AGENT_LISTEN_PORT": "0"})
    assert settings.max_calls == 30
    assert settings.listen_port == 0
    assert settings.model == "gpt-realtime-2.1"
    assert list(settings.realtime_headers) == ["OpenAI-Project"]
    assert settings.realtime_headers["OpenAI-Project"].reveal() == "proj_1"
    assert load(tmp_path, {"REGION_AGENT_MAX_CALLS": "7"}).max_calls == 7


def test_edges_are_told_only_what_they_can_dial(tmp_path: Path) -> None:
    name = "REGION_AGENT_ADVERTISE_ADDRESS"
    assert load(tmp_path, {name: "agent-1:7443"}).advertise_address == "agent-1:7443"
    for address in ("agent-1", "0.0.0.0:7443", "wss://agent-1:7443"):
        with pytest.raises(SettingsError, match="advertise_address"):
            load(tmp_path, {name: address})


def test_relative_paths_start_at_the_file(tmp_path: Path) -> None:
    assert load(tmp_path).pki_dir == tmp_path / "certs"


def test_an_agent_without_a_name_has_the_host_s(tmp_path: Path) -> None:
    assert load(tmp_path).agent_id
    assert load(tmp_path, {"REGION_AGENT_AGENT_ID": "home-1"}).agent_id == "home-1"


def test_secrets_are_masked(tmp_path: Path) -> None:
    settings = load(tmp_path, {"REDIS_URL": "redis://user:hunter2@cache/0"})
    shown = masked(settings).decode() + repr(settings)
    assert "letmein" not in shown
    assert "sk-secret" not in shown
    assert "hunter2" not in shown
    assert "OpenAI-Project" in shown
    assert "proj_1" not in shown


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        ({"REGION_AGENT_REGION": "mars"}, "region: no region 'mars'"),
        ({"OPENAI_API_KEY": ""}, "openai_api_key: empty; set OPENAI_API_KEY"),
        ({"REGION_AGENT_COLOUR": "blue"}, "REGION_AGENT_COLOUR: unknown"),
        ({"REGION_AGENT_MAX_CALLS": "many"}, "max_calls: "),
        ({"REGION_AGENT_MAX_CALLS": "0"}, "max_calls: "),
        ({"REGION_AGENT_OPENS_PER_S": "0"}, "opens_per_s: "),
        ({"REGION_AGENT_LISTEN_PORT": "70000"}, "listen_port: "),
        ({"REGION_AGENT_MAX_WARM_AGE_S": "1900"}, "more than 3600 s together"),
        ({"REGION_AGENT_PROOF_TIMEOUT_S": "2.6"}, "more than 0.25 of proof_interval"),
        ({"REGION_AGENT_MISS_PROBABILITY": "0"}, "miss_probability: "),
        ({"REGION_AGENT_STOCK_FACTOR": "0.9"}, "stock_factor: "),
        ({"REGION_AGENT_TARGET_CALLS": "0"}, "target_calls: "),
        ({"REGION_AGENT_LEASE_WAIT_S": "40"}, "lease_wait_s: not below"),
        ({"REGION_AGENT_ROLLOVER_LEAD_S": "1800"}, "rollover_lead_s: not below"),
        ({"REGION_AGENT_HEARTBEAT_TIMEOUT_S": "0.4"}, "heartbeat_timeout_s: "),
        ({"REGION_AGENT_REALTIME_URL": "https://x/v1"}, "is not a wss:// URL"),
        ({"REGION_AGENT_REALTIME_URL": "wss://x:99999"}, "realtime_url: not a URL"),
        ({"REGION_AGENT_REALTIME_URL": "ws://example.com/"}, "the key needs wss://"),
        (
            {
                "REGION_AGENT_CLOUDWATCH_NAMESPACE": "Warmline",
                "REGION_AGENT_LOG_JSON": "false",
            },
            "cloudwatch_namespace: needs log_json",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "x:4318"}, "otlp_endpoint: 'x:4318' is not"),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "key"}, "otlp_headers: a value is not"),
        ({"OTEL_TRACES_SAMPLER_ARG": "2"}, "trace_ratio: "),
        ({"REDIS_URL": "http://cache"}, "redis_url: not a redis://"),
        ({"REDIS_URL": "redis://[cache"}, "redis_url: not a redis://"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(
    tmp_path: Path, environ: dict[str, str], line: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, environ)
    assert len(refused.value.problems) == 1
    assert line in refused.value.problems[0]


def test_an_agent_without_profiles_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="profiles: empty"):
        load(tmp_path, file="[regions.home]\nagents = []")


def test_what_is_missing_is_said_all_at_once(tmp_path: Path) -> None:
    path = tmp_path / "warmline.toml"
    path.write_text(FILE)
    with pytest.raises(SettingsError) as refused:
        load_settings(read_deployment(path), environ={})
    assert refused.value.problems == (
        "region_agent.region: missing",
        "region_agent.openai_api_key: missing",
    )
