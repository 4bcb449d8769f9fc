"""What the containers are given, given to the services themselves."""

import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

import edge.settings
import region_agent.settings
from backhaul.pki import Role
from backhaul.settings import read_deployment
from tests.terraform.schema import TREE

Containers = dict[str, dict[str, Any]]

ROOT = TREE.parent
SERVICES: dict[str, tuple[str, type[msgspec.Struct], dict[str, str]]] = {
    "edge": ("EDGE_", edge.settings.EdgeSettings, edge.settings._ALIASES),
    "region_agent": (
        "REGION_AGENT_",
        region_agent.settings.RegionAgentSettings,
        region_agent.settings._ALIASES,
    ),
}
TASKS = [
    *(f"{region}/voices-agent" for region in ("us-east-1", "eu-west-1")),
    "ap-southeast-2/voices-agent",
    *(f"us-east-1/voices-edge-{number}" for number in (1, 2, 3)),
    *(f"eu-west-1/voices-edge-{number}" for number in (1, 2)),
    "ap-southeast-2/voices-edge-1",
]
SECRETS = {
    "LINK_CA": "-----BEGIN CERTIFICATE-----\nca\n",
    "LINK_CERTIFICATE": "-----BEGIN CERTIFICATE-----\nleaf\n",
    "LINK_KEY": "-----BEGIN PRIVATE KEY-----\nkey\n",
    "OPENAI_API_KEY": "sk-stand-in",
    "REDIS_URL": "rediss://:token@store.example.com:6379/0",
    "TWILIO_AUTH_TOKEN": "0123456789abcdef0123456789abcdef",
}


def kind_of(task: dict[str, Any]) -> str:
    """Return the package that the task's service is."""
    return str(task["service"]["command"][1])


def environment(container: dict[str, Any]) -> dict[str, str]:
    """Return every variable that ECS sets in *container*, secrets included."""
    values = {one["name"]: one["value"] for one in container.get("environment", ())}
    secrets = (one["name"] for one in container.get("secrets", ()))
    return values | {name: SECRETS.get(name, "a-secret") for name in secrets}


@pytest.fixture
def address_service() -> Iterator[str]:
    """Something that tells whoever asks his own address, as AWS has it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"198.51.100.7\n")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def unpack(task: dict[str, Any], directory: Path, address_url: str) -> Path:
    """Run the container `unpack` in *directory*; return the configuration's path."""
    (directory / "spool").mkdir()
    given = environment(task["unpack"]) | {
        "ADDRESS_URL": address_url,
        "UNPACK_DIRECTORY": str(directory),
        "UNPACK_OWNER": str(os.getuid()),
        "UNPACK_VOLUMES": str(directory / "spool"),
    }
    command = [sys.executable, *task["unpack"]["command"]]
    subprocess.run(command, env=given, check=True, timeout=30)  # noqa: S603
    return directory / "warmline.toml"


def check_config(
    task: dict[str, Any], path: Path, directory: Path
) -> subprocess.CompletedProcess[str]:
    """Run the container `service`, its files where they are here, as a check only."""
    service = task["service"]
    (prefix, _, _) = SERVICES[kind_of(task)]
    given = environment(service)
    given[f"{prefix}PKI_DIR"] = str(directory / "pki")
    *command, _ = service["command"]
    return subprocess.run(  # noqa: S603 - the service itself
        [sys.executable, *command, str(path), "--check-config"],
        env=given | {"PYTHONPATH": str(ROOT), "BOOKING_TOKEN": "token"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("name", TASKS)
def test_the_service_accepts_what_its_task_is_given(
    containers: Containers, name: str, tmp_path: Path, address_service: str
) -> None:
    task = containers[name]
    done = check_config(task, unpack(task, tmp_path, address_service), tmp_path)
    assert done.returncode == 0, done.stderr
    settings = json.loads(done.stdout)
    region, family = name.split("/")
    if kind_of(task) == "edge":
        edge_name = f"{region}-{family.removeprefix('voices-edge-')}"
        host = f"{edge_name}.edge.voice.example.com"
        assert settings["name"] == edge_name
        assert settings["public_url"] == f"https://{host}"
        # All know each other, and where they are: so calls can be handed over.
        assert len(settings["edges"]) == 6
        assert settings["latitude"] is not None
    else:
        assert settings["region"] == region
        assert settings["advertise_address"] == "198.51.100.7:443"


def test_the_key_of_a_link_is_for_its_service_only(
    containers: Containers, tmp_path: Path, address_service: str
) -> None:
    unpack(containers["us-east-1/voices-agent"], tmp_path, address_service)
    key = tmp_path / "pki/region-agent-us-east-1-key.pem"
    assert key.read_text() == SECRETS["LINK_KEY"]
    assert key.stat().st_mode & 0o077 == 0


def test_every_task_has_the_certificate_that_pki_issues_for_it(
    complete: dict[str, Any], containers: Containers, tmp_path: Path
) -> None:
    path = tmp_path / "warmline.toml"
    path.write_text(complete["applied"]["values"]["outputs"]["config"]["value"])
    deployment = read_deployment(path)
    issued = {f"{Role.EDGE.value}-{name}" for name in deployment.edges}
    issued |= {f"{Role.REGION_AGENT.value}-{name}" for name in deployment.regions}
    given = {environment(task["unpack"])["LINK_NAME"] for task in containers.values()}
    assert given == issued


def test_an_agent_that_does_not_learn_its_address_is_reached_as_a_seed(
    containers: Containers, tmp_path: Path
) -> None:
    task = containers["us-east-1/voices-agent"]
    path = unpack(task, tmp_path, "http://127.0.0.1:9/")
    tables = tomllib.loads(path.read_text())
    assert "advertise_address" not in tables["region_agent"]
    assert check_config(task, path, tmp_path).returncode == 0


def test_every_variable_of_a_service_is_a_setting_of_it(containers: Containers) -> None:
    unknown = set()
    for task in containers.values():
        prefix, struct, aliases = SERVICES[kind_of(task)]
        fields = {field.name for field in msgspec.structs.fields(struct)}
        for name in environment(task["service"]):
            known = name in aliases or (
                name.startswith(prefix) and name.removeprefix(prefix).lower() in fields
            )
            if not known:
                unknown.add(name)
    # BOOKING_TOKEN is the profile's, not the agent's.
    assert unknown <= {"BOOKING_TOKEN"}


def test_links_and_webhooks_are_led_to_ports_that_are_listened_on(
    containers: Containers, resources: list[dict[str, Any]]
) -> None:
    for one in resources:
        if one["type"] != "aws_ecs_service":
            continue
        values = one["values"]
        task = containers[f"{values['region']}/{values['name']}"]
        given = environment(task["service"])
        listening = {
            int(value) for name, value in given.items() if name.endswith("_PORT")
        }
        mapped = {port["containerPort"] for port in task["service"]["portMappings"]}
        balanced = {each["container_port"] for each in values["load_balancer"]}
        assert balanced <= mapped <= listening


def test_agents_take_links_over_tcp_and_udp(containers: Containers) -> None:
    ports = containers["us-east-1/voices-agent"]["service"]["portMappings"]
    assert {(port["containerPort"], port["protocol"]) for port in ports} == {
        (443, "tcp"),
        (443, "udp"),
    }


def test_media_streams_go_past_the_webhooks(resources: list[dict[str, Any]]) -> None:
    rules: dict[str, list[tuple[str, str]]] = {}
    for one in sorted(resources, key=lambda one: one["values"].get("priority") or 0):
        values = one["values"]
        if one["type"] == "aws_lb_listener_rule" and values["region"] == "eu-west-1":
            (host,) = (each for each in values["condition"] if each["host_header"])
            (path,) = (each for each in values["condition"] if each["path_pattern"])
            (name,) = host["host_header"][0]["values"]
            target = values["action"][0]["target_group_arn"].rpartition("/")[2]
            for pattern in path["path_pattern"][0]["values"]:
                rules.setdefault(name, []).append((pattern, target))
    domain = "edge.voice.example.com"
    assert rules == {
        domain: [
            ("/twilio/status", "voices-edge-calls"),
            ("/twilio/voice", "voices-edge-calls"),
        ],
        f"eu-west-1.{domain}": [("/readyz", "voices-edge-ready")],
        **{
            f"eu-west-1-{number}.{domain}": [
                ("/twilio/media/*", f"voices-edge-{number}-media"),
                ("/twilio/*", f"voices-edge-{number}-http"),
            ]
            for number in (1, 2)
        },
    }


def test_services_have_no_rights_and_nowhere_to_write(containers: Containers) -> None:
    for task in containers.values():
        service = task["service"]
        assert service["user"] == "10001:10001"
        assert service["readonlyRootFilesystem"] is True
        assert service["linuxParameters"]["capabilities"] == {"drop": ["ALL"]}
        writable = {
            one["containerPath"]
            for one in service["mountPoints"]
            if not one.get("readOnly")
        }
        assert writable == {"/tmp", "/var/lib/warmline"}  # noqa: S108 - its own volume


def test_what_a_service_writes_to_was_given_to_it(containers: Containers) -> None:
    for task in containers.values():
        writable = {
            one["containerPath"]
            for one in task["service"]["mountPoints"]
            if not one.get("readOnly")
        }
        assert set(environment(task["unpack"])["UNPACK_VOLUMES"].split(":")) == writable
        assert writable <= {
            one["containerPath"] for one in task["unpack"]["mountPoints"]
        }


def test_secrets_come_from_the_secret_of_the_same_region(
    containers: Containers,
) -> None:
    for name, task in containers.items():
        region, family = name.split("/")
        for container in task.values():
            for secret in container.get("secrets", ()):
                wanted = rf"arn:aws:secretsmanager:{region}:\d+:secret/{family}"
                assert re.fullmatch(
                    rf"{wanted}:{secret['name']}::", secret["valueFrom"]
                )


def test_traces_go_to_the_collector_beside_the_service(containers: Containers) -> None:
    for task in containers.values():
        (config,) = task["collector"]["environment"]
        assert config["name"] == "AOT_CONFIG_CONTENT"
        endpoint = environment(task["service"])["OTEL_EXPORTER_OTLP_ENDPOINT"]
        assert endpoint == "http://127.0.0.1:4318"
        assert '"endpoint": "127.0.0.1:4318"' in config["value"]
        assert task["collector"]["essential"] is False
