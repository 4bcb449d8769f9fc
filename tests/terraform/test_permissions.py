"""Who may do what: every policy of the largest example, statement by statement."""

import json
import re
from collections.abc import Iterator
from typing import Any

import botocore.session

Resources = list[dict[str, Any]]
Statement = dict[str, Any]

EVERYWHERE = {
    "ecr:GetAuthorizationToken",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}
"""Actions that know no resources; IAM accepts them with * only."""
MODELS = {"logs": "logs", "cloudwatch": "cloudwatch", "elasticloadbalancing": "elbv2"}
NOT_OPERATIONS = {
    "ecr:BatchGetImage",
    "kms:ReEncrypt*",
    "kms:GenerateDataKey*",
    "kms:*",
}


def statements(resources: Resources, *kinds: str) -> Iterator[tuple[str, Statement]]:
    """Return every statement of the policies in resources of *kinds*."""
    for one in resources:
        if one["type"] in kinds:
            for name in ("policy", "assume_role_policy"):
                if one["values"].get(name):
                    for statement in json.loads(one["values"][name])["Statement"]:
                        yield one["address"], statement


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def role_statements(resources: Resources) -> list[tuple[str, Statement]]:
    return list(statements(resources, "aws_iam_role_policy"))


def test_no_role_may_do_anything_by_a_wildcard(resources: Resources) -> None:
    found = role_statements(resources)
    assert len(found) > 20
    assert not [
        (address, action)
        for address, one in found
        for action in listed(one["Action"])
        if "*" in action
    ]


def test_a_role_reaches_every_resource_only_where_there_is_no_other_way(
    resources: Resources,
) -> None:
    wide = {
        action
        for _, one in role_statements(resources)
        if "*" in listed(one["Resource"])
        for action in listed(one["Action"])
    }
    assert wide == EVERYWHERE


def test_a_task_cannot_read_secrets_by_itself(resources: Resources) -> None:
    # ECS reads them before the task runs, with the other role.
    for address, one in role_statements(resources):
        if ".aws_iam_role_policy.task" in address:
            assert not any(
                action.startswith(("secretsmanager:", "kms:"))
                for action in listed(one["Action"])
            )


def test_a_task_protects_tasks_of_its_own_cluster_only(resources: Resources) -> None:
    reach = {
        resource
        for _, one in role_statements(resources)
        if "ecs:UpdateTaskProtection" in one["Action"]
        for resource in listed(one["Resource"])
    }
    assert len(reach) == 9
    assert all(
        re.search(":task/voices-(agent|edge-[123])/[*]$", resource)
        for resource in reach
    )


def test_roles_are_for_tasks_of_this_account(resources: Resources) -> None:
    for address, one in statements(resources, "aws_iam_role"):
        if ".module.service." in address:
            assert one["Principal"] == {"Service": ["ecs-tasks.amazonaws.com"]}
            assert one["Condition"].keys() == {"StringEquals", "ArnLike"}


def test_every_action_is_one_that_aws_knows(resources: Resources) -> None:
    session = botocore.session.get_session()
    kinds = ("aws_iam_role_policy", "aws_kms_key", "aws_sns_topic_policy")
    unknown = set()
    for _, one in statements(resources, *kinds):
        for action in set(listed(one["Action"])) - NOT_OPERATIONS:
            service, _, operation = action.partition(":")
            model = session.get_service_model(MODELS.get(service, service))
            if operation not in model.operation_names:
                unknown.add(action)
    assert unknown == set()


def test_alarms_may_publish_to_their_topics(resources: Resources) -> None:
    policies = list(statements(resources, "aws_sns_topic_policy"))
    assert len(policies) == 3
    assert all(
        one["Principal"] == {"Service": ["cloudwatch.amazonaws.com"]}
        for _, one in policies
    )
