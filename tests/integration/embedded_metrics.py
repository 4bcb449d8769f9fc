"""Reads embedded metric format as CloudWatch Logs does, and as strictly.

Source: the JSON schema in
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import jsonschema

__all__ = ["Datum", "read_metrics"]

_NAME: Final = {"type": "string", "minLength": 1, "maxLength": 1024}
_METRIC: Final = {
    "type": "object",
    "required": ["Name"],
    "additionalProperties": False,
    "properties": {
        "Name": _NAME,
        "Unit": {"enum": ["Count", "Seconds", "Milliseconds", "Bytes", "None"]},
        "StorageResolution": {"enum": [1, 60]},
    },
}
_SCHEMA: Final = {
    "type": "object",
    "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object",
            "required": ["Timestamp", "CloudWatchMetrics"],
            "properties": {
                "Timestamp": {"type": "integer", "minimum": 1_600_000_000_000},
                "CloudWatchMetrics": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["Namespace", "Dimensions", "Metrics"],
                        "additionalProperties": False,
                        "properties": {
                            "Namespace": _NAME,
                            "Dimensions": {
                                "type": "array",
                                "minItems": 1,
                                "items": {
                                    "type": "array",
                                    "maxItems": 30,
                                    "items": {**_NAME, "maxLength": 250},
                                },
                            },
                            "Metrics": {
                                "type": "array",
                                "maxItems": 100,
                                "items": _METRIC,
                            },
                        },
                    },
                },
            },
        }
    },
}


@dataclass(frozen=True)
class Datum:
    """One metric of one line."""

    namespace: str
    name: str
    dimensions: dict[str, str]
    values: tuple[float, ...]
    resolution_s: int


def read_metrics(log: str) -> list[Datum]:
    """Return the metrics in the lines of *log*."""
    lines: Iterable[dict[str, Any]] = map(json.loads, log.splitlines())
    return [datum for line in lines if "_aws" in line for datum in _read(line)]


def _read(line: dict[str, Any]) -> Iterable[Datum]:
    jsonschema.validate(line, _SCHEMA)
    for directive in line["_aws"]["CloudWatchMetrics"]:
        for names in directive["Dimensions"]:
            dimensions = {name: line[name] for name in names}
            assert all(isinstance(value, str) for value in dimensions.values())
            for metric in directive["Metrics"]:
                told = line[metric["Name"]]
                values = tuple(told) if isinstance(told, list) else (told,)
                assert 1 <= len(values) <= 100
                assert all(type(value) in {int, float} for value in values)
                yield Datum(
                    directive["Namespace"],
                    metric["Name"],
                    dimensions,
                    values,
                    metric["StorageResolution"],
                )
