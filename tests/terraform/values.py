"""What AWS would answer: plausible values for everything that is only known afterwards.

Every identifier names its region, so that a test can see a resource lean on one in
another region.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

__all__ = ["ACCOUNT", "answer", "computed"]

ACCOUNT = "123456789012"
_HOSTED_ZONE = "Z2FDTNDATAQYW2"

_Json = dict[str, Any]


def computed(kind: str, name: str, type_: Any, known: Mapping[str, Any]) -> Any:
    """Return what the attribute *name* of a new resource would be.

    Args:
        kind: The resource type.
        name: The attribute, or the member of one.
        type_: Its type, as Terraform writes it in JSON.
        known: The other attributes.
    """
    if isinstance(type_, list):
        return _computed_many(kind, name, type_, known)
    if type_ == "number":
        return 0
    if type_ == "bool":
        return False
    return _text(kind, name, known)


def _computed_many(
    kind: str, name: str, type_: list[Any], known: Mapping[str, Any]
) -> Any:
    if kind == "aws_acm_certificate" and name == "domain_validation_options":
        return [_validation(host) for host in _hosts(known)]
    if type_[0] == "map":
        return {}
    if type_[0] == "object":
        return {
            member: computed(kind, member, of, known) for member, of in type_[1].items()
        }
    return []


def _text(kind: str, name: str, known: Mapping[str, Any]) -> str:
    region = known.get("region")
    region = region if isinstance(region, str) else "global"
    service, _, resource = kind.removeprefix("aws_").partition("_")
    label = _label(kind, known)
    arn = f"arn:aws:{service}:{region}:{ACCOUNT}:{resource or service}/{label}"
    if name == "arn" or name.endswith("_arn"):
        return arn
    if name in {"id", "key_id"}:
        return _identity(kind, label, region, known) or arn
    texts = {
        "arn_suffix": f"{resource}/{region}/{label}",
        "dns_name": f"{label}.{region}.example.aws",
        "fqdn": label,
        "hosted_zone_id": _HOSTED_ZONE,
        "primary_endpoint_address": f"{label}.{region}.example.aws",
        "repository_url": f"{ACCOUNT}.dkr.ecr.{region}.amazonaws.com/{label}",
        "zone_id": _HOSTED_ZONE,
    }
    return texts.get(name, f"{name}-{region}-{label}")


def _label(kind: str, known: Mapping[str, Any]) -> str:
    for given in ("name", "family", "bucket", "replication_group_id", "alarm_name"):
        if isinstance(known.get(given), str):
            return str(known[given]).strip("/")
    text = kind + json.dumps(known, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


_NAMED_BY = {
    "aws_cloudwatch_dashboard": "dashboard_name",
    "aws_cloudwatch_log_group": "name",
    "aws_cloudwatch_metric_alarm": "alarm_name",
    "aws_ecr_repository": "name",
    "aws_elasticache_replication_group": "replication_group_id",
    "aws_iam_role": "name",
    "aws_s3_bucket": "bucket",
}
"""Types whose id is an argument."""
_NAMED_BY_ARN = ("aws_lb", "aws_sns_topic", "aws_secretsmanager_secret", "aws_acm_")


def _identity(
    kind: str, label: str, region: str, known: Mapping[str, Any]
) -> str | None:
    """Return the id of a resource; None: its ARN."""
    if kind in _NAMED_BY:
        return str(known[_NAMED_BY[kind]])
    if kind.startswith(_NAMED_BY_ARN):
        return None
    return f"{kind.removeprefix('aws_').replace('_', '-')}-{region}-{label}"


def _hosts(known: Mapping[str, Any]) -> list[str]:
    return [known["domain_name"], *(known.get("subject_alternative_names") or ())]


def _validation(host: str) -> _Json:
    return {
        "domain_name": host,
        "resource_record_name": f"_proof.{host}.",
        "resource_record_type": "CNAME",
        "resource_record_value": "_proof.acm-validations.aws.",
    }


def answer(kind: str, given: Mapping[str, Any], *, region: str) -> _Json:
    """Return what a data source of type *kind* says when asked for *given*."""
    if kind == "aws_availability_zones":
        return {"id": region, "names": [region + zone for zone in "abc"]}
    if kind == "aws_caller_identity":
        return {"id": ACCOUNT, "account_id": ACCOUNT}
    if kind == "aws_partition":
        return {"id": "aws", "partition": "aws", "dns_suffix": "amazonaws.com"}
    if kind == "aws_iam_policy_document":
        text = json.dumps(_policy(given))
        return {"id": hashlib.sha256(text.encode()).hexdigest(), "json": text}
    message = f"{kind}: this stand-in has no answer for it"
    raise ValueError(message)


def _policy(given: Mapping[str, Any]) -> _Json:
    sources = given.get("source_policy_documents") or ()
    statements = [one for source in sources for one in json.loads(source)["Statement"]]
    statements += [_statement(one) for one in given.get("statement") or ()]
    sids = [one["Sid"] for one in statements if "Sid" in one]
    if len(sids) != len(set(sids)):
        message = f"aws_iam_policy_document: duplicate sid in {sids}"
        raise ValueError(message)
    return {"Version": given.get("version") or "2012-10-17", "Statement": statements}


def _statement(given: Mapping[str, Any]) -> _Json:
    made: _Json = {"Effect": given.get("effect") or "Allow"}
    if given.get("sid"):
        made["Sid"] = given["sid"]
    for source, target in (
        ("actions", "Action"),
        ("not_actions", "NotAction"),
        ("resources", "Resource"),
        ("not_resources", "NotResource"),
    ):
        if given.get(source):
            made[target] = sorted(given[source])
    for principal in given.get("principals") or ():
        named = made.setdefault("Principal", {})
        named.setdefault(principal["type"], []).extend(principal["identifiers"])
    for condition in given.get("condition") or ():
        test = made.setdefault("Condition", {}).setdefault(condition["test"], {})
        test[condition["variable"]] = condition["values"]
    return made
