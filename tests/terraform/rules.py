"""What AWS refuses and a provider's schema does not say: enums, container definitions.

The models are botocore's, which AWS publishes with every change of its APIs.
"""

import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any

import botocore.session
from botocore.model import ListShape, Shape, StringShape, StructureShape
from botocore.validate import ParamValidator

__all__ = ["problems"]

_ENUMS = {
    "aws_acm_certificate": {"validation_method": "acm.ValidationMethod"},
    "aws_appautoscaling_policy": {
        "policy_type": "application-autoscaling.PolicyType",
        "scalable_dimension": "application-autoscaling.ScalableDimension",
        "service_namespace": "application-autoscaling.ServiceNamespace",
        "step_scaling_policy_configuration.adjustment_type": (
            "application-autoscaling.AdjustmentType"
        ),
        "step_scaling_policy_configuration.metric_aggregation_type": (
            "application-autoscaling.MetricAggregationType"
        ),
        "target_tracking_scaling_policy_configuration.predefined_metric_specification"
        ".predefined_metric_type": "application-autoscaling.MetricType",
    },
    "aws_appautoscaling_target": {
        "scalable_dimension": "application-autoscaling.ScalableDimension",
        "service_namespace": "application-autoscaling.ServiceNamespace",
    },
    "aws_cloudwatch_metric_alarm": {
        "comparison_operator": "cloudwatch.ComparisonOperator",
        "statistic": "cloudwatch.Statistic",
    },
    "aws_ecr_repository": {
        "image_tag_mutability": "ecr.ImageTagMutability",
        "encryption_configuration.encryption_type": "ecr.EncryptionType",
    },
    "aws_ecs_service": {
        "availability_zone_rebalancing": "ecs.AvailabilityZoneRebalancing",
        "launch_type": "ecs.LaunchType",
        "propagate_tags": "ecs.PropagateTags",
    },
    "aws_ecs_task_definition": {
        "network_mode": "ecs.NetworkMode",
        "requires_compatibilities": "ecs.Compatibility",
        "runtime_platform.cpu_architecture": "ecs.CPUArchitecture",
        "runtime_platform.operating_system_family": "ecs.OSFamily",
    },
    "aws_elasticache_replication_group": {
        "transit_encryption_mode": "elasticache.TransitEncryptionMode"
    },
    "aws_flow_log": {"traffic_type": "ec2.TrafficType"},
    "aws_globalaccelerator_accelerator": {
        "ip_address_type": "globalaccelerator.IpAddressType"
    },
    "aws_globalaccelerator_listener": {"protocol": "globalaccelerator.Protocol"},
    "aws_lb": {"load_balancer_type": "elbv2.LoadBalancerTypeEnum"},
    "aws_lb_listener": {
        "protocol": "elbv2.ProtocolEnum",
        "default_action.type": "elbv2.ActionTypeEnum",
    },
    "aws_lb_listener_rule": {"action.type": "elbv2.ActionTypeEnum"},
    "aws_lb_target_group": {
        "protocol": "elbv2.ProtocolEnum",
        "target_type": "elbv2.TargetTypeEnum",
        "health_check.protocol": "elbv2.ProtocolEnum",
    },
    "aws_route53_health_check": {"type": "route53.HealthCheckType"},
    "aws_route53_record": {"type": "route53.RRType"},
    "aws_vpc_endpoint": {"vpc_endpoint_type": "ec2.VpcEndpointType"},
}
"""By resource type and path of an argument: the enum of the API that it becomes."""

_PATTERNED = {"aws_lb": 32, "aws_lb_target_group": 32, "aws_iam_role": 64}
"""Longest names; the provider itself refuses longer ones."""

_FARGATE_MIB = {
    256: (512, 1024, 2048),
    512: (1024, 2048, 3072, 4096),
    1024: tuple(range(2048, 8193, 1024)),
    2048: tuple(range(4096, 16385, 1024)),
    4096: tuple(range(8192, 30721, 1024)),
}
"""Memory that goes with CPU units; ECS developer guide, "Task CPU and memory"."""


def problems(kind: str, values: Mapping[str, Any]) -> Iterator[str]:
    """Return one line per value of a resource that AWS would refuse.

    Args:
        kind: The resource type, for example ``aws_lb_listener``.
        values: Its arguments; what is not known yet is anything but str, number,
            list and dict.
    """
    for path, enum in _ENUMS.get(kind, {}).items():
        shape = _shape(*enum.split("."))
        for value in _at(values, path.split(".")):
            yield from _not_one_of(shape.enum, value, path)
    name = values.get("name")
    if kind in _PATTERNED and isinstance(name, str) and len(name) > _PATTERNED[kind]:
        yield f"name: {name!r} is longer than {_PATTERNED[kind]} characters"
    if kind == "aws_ecs_task_definition":
        yield from _task_problems(values)
    if kind == "aws_cloudwatch_metric_alarm":
        yield from _alarm_problems(values)


@functools.cache
def _session() -> botocore.session.Session:
    return botocore.session.get_session()


@functools.cache
def _shape(service: str, name: str) -> Any:
    return _session().get_service_model(service).shape_for(name)


def _at(value: object, path: list[str]) -> Iterator[str]:
    """Return every known string at *path*, through lists."""
    if isinstance(value, list):
        for one in value:
            yield from _at(one, path)
    elif path and isinstance(value, dict):
        yield from _at(value.get(path[0]), path[1:])
    elif not path and isinstance(value, str):
        yield value


def _task_problems(values: Mapping[str, Any]) -> Iterator[str]:
    cpu, memory = _number(values.get("cpu")), _number(values.get("memory"))
    if cpu is not None and memory is not None:
        allowed = _FARGATE_MIB.get(cpu, ())
        if memory not in allowed:
            yield f"cpu and memory: Fargate has no task of {cpu} units and {memory} MiB"
    text = values.get("container_definitions")
    if not isinstance(text, str):
        return
    try:
        definitions = json.loads(text)
    except ValueError as exc:
        yield f"container_definitions: no JSON: {exc}"
        return
    shape = _shape("ecs", "ContainerDefinitions")
    report = ParamValidator().validate(definitions, shape)
    if report.has_errors():
        yield f"container_definitions: {report.generate_report()}"
    yield from _enum_problems(shape, definitions, "container_definitions")


def _number(value: object) -> int | None:
    return int(value) if isinstance(value, str) and value.isdigit() else None


def _enum_problems(shape: Shape, value: object, path: str) -> Iterator[str]:
    """botocore checks names and types, but leaves enums to the service."""
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        for key, member in shape.members.items():
            yield from _enum_problems(member, value.get(key), f"{path}.{key}")
    elif isinstance(shape, ListShape) and isinstance(value, list):
        for index, one in enumerate(value):
            yield from _enum_problems(shape.member, one, f"{path}[{index}]")
    elif isinstance(shape, StringShape) and isinstance(value, str):
        yield from _not_one_of(shape.enum, value, path)


def _not_one_of(enum: list[str], value: str, path: str) -> Iterator[str]:
    if enum and value not in enum:
        yield f"{path}: {value!r} is not one of {', '.join(enum)}"


def _alarm_problems(values: Mapping[str, Any]) -> Iterator[str]:
    """What CloudWatch's PutMetricAlarm says of periods and statistics."""
    both = (values.get("statistic"), values.get("extended_statistic"))
    known = all(one is None or isinstance(one, str) for one in both)
    if known and (both[0] is None) == (both[1] is None):
        yield "statistic, extended_statistic: exactly one"
    period, count = values.get("period"), values.get("evaluation_periods")
    if not isinstance(period, int | float) or not isinstance(count, int | float):
        return
    if period not in {10, 20, 30} and period % 60:
        yield f"period: {period} s is neither 10, 20, 30 nor a multiple of 60"
    if period < 60 and not str(values.get("namespace")).startswith("Warmline"):
        yield f"period: {period} s needs a metric of our own"
    if period * count > 24 * 3600:
        yield "period, evaluation_periods: more than a day"
