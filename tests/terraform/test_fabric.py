"""What the whole fabric is made of: the applied state of the largest example."""

import json
import re
from typing import Any

import pytest

from backhaul.core.cloud_metrics import CloudMetric
from tests.terraform.schema import TREE

Resources = list[dict[str, Any]]

REGIONS = {"us-east-1", "eu-west-1", "ap-southeast-2"}
PLACES = {"us-east-1": 3, "eu-west-1": 2, "ap-southeast-2": 1}
"""Edges by AWS region."""
METRICS = {
    "Region": {
        "active_calls",
        "first_audio_seconds",
        "profiles_without_stock",
        "session_acquire_seconds",
        "session_open_failures",
    },
    "Edge": {
        "active_calls",
        "calls_without_voice",
        "first_audio_seconds",
        "link_acquisition_seconds",
        "webhook_seconds",
    },
}
"""What agents and edges publish in the namespace Warmline, by dimension."""
AGENT_ALARMS = {
    "acquire-slow",
    "at-capacity",
    "calls-high",
    "calls-low",
    "first-audio-slow",
    "no-metrics",
    "pool-empty",
    "redis-memory",
    "session-opens-failing",
    "unhealthy-hosts",
}
EDGE_ALARMS = {
    "acquire-slow",
    "calls-without-voice",
    "cpu-high",
    "first-audio-slow",
    "no-metrics",
    "webhook-slow",
}
PLACE_ALARMS = {"errors", "none-healthy", "unhealthy-hosts"}
GLOBAL = {"aws_cloudwatch_dashboard", "aws_cloudwatch_composite_alarm"}


def of_type(resources: Resources, kind: str) -> list[dict[str, Any]]:
    return [one["values"] for one in resources if one["type"] == kind]


def test_everything_that_can_have_tags_has_them(
    resources: Resources, schema: dict[str, Any]
) -> None:
    taggable = [
        one
        for one in resources
        if "tags_all" in schema["resources"][one["type"]]["attributes"]
    ]
    assert len(taggable) > 100
    untagged = [
        one["address"]
        for one in taggable
        if not {"Project", "Environment", "ManagedBy"}
        <= one["values"]["tags_all"].keys()
    ]
    assert untagged == []


def test_what_belongs_to_a_region_is_in_it(resources: Resources) -> None:
    misplaced = []
    for one in resources:
        place = re.search(r'module\.\w+\["([a-z0-9-]+)"\]', one["address"])
        region = one["values"].get("region")
        if place and region and region != place[1]:
            misplaced.append((one["address"], region))
    assert misplaced == []


def test_every_regional_resource_says_its_region(
    complete: dict[str, Any], schema: dict[str, Any]
) -> None:
    # One that does not would be made in the region of the provider.
    silent = []

    def look(module: dict[str, Any], path: str) -> None:
        for one in module.get("resources", ()):
            part = "resources" if one["mode"] == "managed" else "data"
            attributes = schema[part][one["type"]]["attributes"]
            if "region" in attributes and "region" not in one["expressions"]:
                silent.append(f"{path}.{one['address']}")
        for name, call in module.get("module_calls", {}).items():
            look(call["module"], f"{path}.{name}")

    look(complete["configuration"]["root_module"], "")
    assert silent == []


def test_nothing_leans_on_another_region(resources: Resources) -> None:
    # Every identifier that the stand-in for AWS gives out names its region.
    astray = []
    for one in resources:
        own = one["values"].get("region")
        if own is None or one["type"] in GLOBAL:
            continue
        named = re.findall(
            r"arn:aws:[a-z0-9]+:([a-z]+-[a-z]+-[0-9]):", json.dumps(one["values"])
        )
        astray += [(one["address"], other) for other in named if other != own]
    assert astray == []


def test_the_world_reaches_nothing_but_443(resources: Resources) -> None:
    rules = of_type(resources, "aws_vpc_security_group_ingress_rule")
    world = [one for one in rules if one["cidr_ipv4"] or one["cidr_ipv6"]]
    ports = {(one["from_port"], one["to_port"]) for one in world}
    assert ports == {(443, 443)}
    # An edge's balancer by TCP; an agent's, and the agents, by TCP and UDP.
    assert len(world) == len(PLACES) + 4 * len(REGIONS)


def test_no_security_group_has_rules_of_its_own(resources: Resources) -> None:
    # Rules inside a group would be passed over by the test above.
    groups = of_type(resources, "aws_security_group")
    groups += of_type(resources, "aws_default_security_group")
    assert groups
    assert not any(one["ingress"] or one["egress"] for one in groups)


def test_only_load_balancers_reach_the_health_of_a_task(resources: Resources) -> None:
    rules = of_type(resources, "aws_vpc_security_group_ingress_rule")
    health = [one for one in rules if one["from_port"] in {8082, 9090}]
    assert len(health) == len(PLACES) + len(REGIONS)
    assert all(one["referenced_security_group_id"] for one in health)


@pytest.mark.parametrize("place", sorted(REGIONS))
def test_every_place_has_its_alarms(resources: Resources, place: str) -> None:
    found = {
        one["alarm_name"]
        for one in of_type(resources, "aws_cloudwatch_metric_alarm")
        if one["region"] == place and not one["alarm_name"].startswith("voices-dns-")
    }
    assert found == {
        *(f"voices-agent-{alarm}" for alarm in AGENT_ALARMS),
        *(f"voices-edge-{alarm}" for alarm in PLACE_ALARMS),
        *(
            f"voices-edge-{number}-{alarm}"
            for number in range(1, PLACES[place] + 1)
            for alarm in EDGE_ALARMS
        ),
    }


def test_every_alarm_acts(resources: Resources) -> None:
    alarms = of_type(resources, "aws_cloudwatch_metric_alarm")
    assert all(one["alarm_actions"] for one in alarms)


def test_alarms_and_dashboards_read_metrics_that_are_published(
    resources: Resources,
) -> None:
    read = set()
    for alarm in of_type(resources, "aws_cloudwatch_metric_alarm"):
        if alarm["namespace"] == "Warmline":
            (dimension,) = alarm["dimensions"]
            read.add((dimension, alarm["metric_name"]))
    for dashboard in of_type(resources, "aws_cloudwatch_dashboard"):
        for widget in json.loads(dashboard["dashboard_body"])["widgets"]:
            for namespace, name, dimension, *_ in widget["properties"]["metrics"]:
                if namespace == "Warmline":
                    read.add((dimension, name))
    published = {(key, name) for key, names in METRICS.items() for name in names}
    assert read == published


def test_the_services_publish_what_is_read() -> None:
    told = {metric.label for metric in CloudMetric}
    assert told == {name for names in METRICS.values() for name in names}


def test_the_readme_says_what_is_published() -> None:
    text = (TREE / "README.md").read_text(encoding="utf-8")
    said = re.findall(r"^\| `(Region|Edge)` \| `(\w+)` \|", text, re.MULTILINE)
    assert set(said) == {
        (key, name) for key, names in METRICS.items() for name in names
    }


def test_there_is_a_dashboard_per_region_and_one_for_all(resources: Resources) -> None:
    dashboards = of_type(resources, "aws_cloudwatch_dashboard")
    names = {one["dashboard_name"] for one in dashboards}
    assert names == {"voices", *(f"voices-{region}" for region in REGIONS)}


def test_agents_are_counted_every_10_s(resources: Resources) -> None:
    high = {
        one["region"]: (one["period"], one["evaluation_periods"], one["threshold"])
        for one in of_type(resources, "aws_cloudwatch_metric_alarm")
        if one["alarm_name"] == "voices-agent-calls-high"
    }
    assert high == {
        "us-east-1": (10, 3, 30),
        "eu-west-1": (10, 2, 20),
        "ap-southeast-2": (10, 3, 30),
    }


def test_no_value_of_a_secret_is_anywhere(resources: Resources) -> None:
    kinds = {one["type"] for one in resources}
    assert "aws_secretsmanager_secret" in kinds
    assert "aws_secretsmanager_secret_version" not in kinds
    assert not any(
        one["auth_token"]
        for one in of_type(resources, "aws_elasticache_replication_group")
    )


def test_a_european_edge_knows_european_agents_only(
    containers: dict[str, dict[str, Any]],
) -> None:
    unpack = containers["eu-west-1/voices-edge-1"]["unpack"]
    environment = {one["name"]: one["value"] for one in unpack["environment"]}
    config = environment["WARMLINE_CONFIG"]
    tables = re.findall(r"^\[regions\.(.*)\]$", config, re.MULTILINE)
    assert tables == ["eu-west-1"]
