"""The stand-in for AWS refuses what AWS would, and nothing else."""

import json
from typing import Any

import pytest

from tests.terraform.rules import problems

CONTAINER = {"name": "service", "image": "warmline", "essential": True}
ALARM = {
    "statistic": "Average",
    "comparison_operator": "GreaterThanThreshold",
    "namespace": "Warmline",
    "period": 10,
    "evaluation_periods": 3,
}


def task(**changed: Any) -> dict[str, Any]:
    definitions = json.dumps([CONTAINER | changed])
    return {"cpu": "1024", "memory": "2048", "container_definitions": definitions}


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("aws_lb_listener", {"protocol": "TCP_UDP"}),
        ("aws_cloudwatch_metric_alarm", ALARM),
        (
            "aws_cloudwatch_metric_alarm",
            ALARM | {"period": 120, "namespace": "AWS/ECS"},
        ),
        ("aws_ecs_task_definition", task()),
        ("aws_ecs_task_definition", {"container_definitions": None}),
        ("aws_vpc", {"cidr_block": "10.0.0.0/20"}),
    ],
)
def test_what_is_right_passes(kind: str, values: dict[str, Any]) -> None:
    assert list(problems(kind, values)) == []


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        ("aws_lb_listener", {"protocol": "QUICK"}, "'QUICK' is not one of"),
        (
            "aws_lb_target_group",
            {"health_check": [{"protocol": "GRPC"}]},
            "health_check.protocol",
        ),
        ("aws_lb", {"name": "x" * 33}, "longer than 32 characters"),
        ("aws_cloudwatch_metric_alarm", ALARM | {"period": 45}, "45 s is neither"),
        (
            "aws_cloudwatch_metric_alarm",
            ALARM | {"namespace": "AWS/ECS"},
            "needs a metric of our own",
        ),
        (
            "aws_cloudwatch_metric_alarm",
            ALARM | {"extended_statistic": "p95"},
            "exactly one",
        ),
        (
            "aws_cloudwatch_metric_alarm",
            ALARM | {"period": 3600, "evaluation_periods": 25},
            "more than a day",
        ),
        ("aws_ecs_task_definition", task() | {"memory": "512"}, "Fargate has no task"),
        ("aws_ecs_task_definition", {"container_definitions": "["}, "no JSON"),
        ("aws_ecs_task_definition", task(stopTimeOut=1), "stopTimeOut"),
        ("aws_ecs_task_definition", task(stopTimeout="1"), "Invalid type"),
        (
            "aws_ecs_task_definition",
            task(dependsOn=[{"containerName": "unpack", "condition": "DONE"}]),
            "'DONE' is not one of",
        ),
    ],
)
def test_what_is_wrong_is_told(kind: str, values: dict[str, Any], said: str) -> None:
    found = list(problems(kind, values))
    assert len(found) == 1
    assert said in found[0]
