"""Mistakes planted one at a time, each of which the check must find."""

from dataclasses import dataclass

import pytest

from tests.terraform.workspace import workspace

EXAMPLE = "examples/minimal"


@dataclass(frozen=True)
class Mutant:
    """A mistake: *new* in place of *old*; *said* is part of what is said of it."""

    path: str
    old: str
    new: str
    said: str


MUTANTS = {
    "misspelt argument": Mutant(
        "modules/network/main.tf",
        "enable_dns_hostnames = true",
        "enable_dns_hostname = true",
        'An argument named "enable_dns_hostname" is not expected here',
    ),
    "misspelt block": Mutant(
        "modules/service/main.tf",
        "  deployment_circuit_breaker {",
        "  deployment_circuit_braker {",
        'Blocks of type "deployment_circuit_braker" are not expected here',
    ),
    "wrong type": Mutant(
        "modules/edge/main.tf",
        "idle_timeout = 4000",
        'idle_timeout = "an hour"',
        "a number is required",
    ),
    "missing argument": Mutant(
        "modules/agent_region/main.tf",
        "  load_balancer_arn = aws_lb.links.arn\n",
        "",
        'The argument "load_balancer_arn" is required',
    ),
    "missing block": Mutant(
        "modules/agent_region/main.tf",
        """  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.links.arn
  }
""",
        "",
        "At least 1",
    ),
    "block given twice": Mutant(
        "modules/agent_region/main.tf",
        "  health_check {\n",
        "  health_check {\n  }\n\n  health_check {\n",
        "No more than 1",
    ),
    "bad enum": Mutant(
        "modules/agent_region/autoscaling.tf",
        'comparison_operator = "GreaterThanThreshold"',
        'comparison_operator = "MoreThanThreshold"',
        "'MoreThanThreshold' is not one of",
    ),
    "bad enum in a block": Mutant(
        "modules/agent_region/autoscaling.tf",
        'adjustment_type          = "PercentChangeInCapacity"',
        'adjustment_type          = "PercentChange"',
        "'PercentChange' is not one of",
    ),
    "misspelt word in a container": Mutant(
        "modules/service/main.tf",
        "stopTimeout            = 120",
        "stopTimeOut            = 120",
        'Unknown parameter in [1]: "stopTimeOut"',
    ),
    "wrong type in a container": Mutant(
        "modules/service/main.tf",
        "essential  = true",
        'essential  = "yes"',
        "Invalid type for parameter [1].essential",
    ),
    "bad enum in a container": Mutant(
        "modules/service/main.tf",
        'logDriver = "awslogs"',
        'logDriver = "cloudwatch"',
        "'cloudwatch' is not one of",
    ),
    "a task that Fargate has not": Mutant(
        "variables.tf",
        "memory = optional(number, 2048)",
        "memory = optional(number, 1536)",
        "Fargate has no task of 1024 units and 1536 MiB",
    ),
    "an alarm looked at too often": Mutant(
        "modules/agent_region/autoscaling.tf",
        "period              = 10",
        "period              = 5",
        "neither 10, 20, 30 nor a multiple of 60",
    ),
    "a name too long for a load balancer": Mutant(
        "modules/edge/main.tf",
        'name  = "${var.name}-edge"',
        'name  = "${var.name}-edge-in-${var.region}-for-twilio"',
        "is longer than 32 characters",
    ),
    "an output that is not there": Mutant(
        "main.tf",
        "module.agent[each.key].widgets",
        "module.agent[each.key].graphs",
        "Unsupported attribute",
    ),
    "a statement said twice": Mutant(
        "modules/service/iam.tf",
        'sid       = "ProtectItselfWhileInCalls"',
        'sid       = "SendTraces"',
        "duplicate sid",
    ),
}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_mistake_is_found(name: str) -> None:
    mutant = MUTANTS[name]
    with workspace() as work:
        path = work.tree / mutant.path
        text = path.read_text(encoding="utf-8")
        assert mutant.old in text
        path.write_text(text.replace(mutant.old, mutant.new, 1), encoding="utf-8")
        outcome = work.init(EXAMPLE)
        if outcome.code == 0:
            outcome = work.plan(EXAMPLE)
        if outcome.code == 0:
            # Some mistakes hide behind values that are known only when all is made.
            outcome = work.run(EXAMPLE, "apply", "-no-color", "plan.bin")
        assert outcome.code != 0
        assert mutant.said in " ".join(outcome.text.replace("│", " ").split())
