"""Checks what a model wants to send to a tool against the tool's JSON schema."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, cast

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

__all__ = ["ArgumentSchema", "InvalidArgumentsError", "InvalidSchemaError"]

_MAX_BYTES = 64 * 1024
"""Largest arguments that are looked at."""
_MAX_TEXT = 200
"""Longest problem told (characters); it may quote the arguments."""
_NO_ARGUMENTS = {"type": "object", "maxProperties": 0}


class _Validator(Protocol):
    def iter_errors(self, instance: object, /) -> Iterator[ValidationError]: ...


class InvalidSchemaError(Exception):
    """A tool's ``parameters`` are no schema that can be checked here."""


class InvalidArgumentsError(Exception):
    """Arguments are not JSON or do not fit; says where, for the model to read."""


class ArgumentSchema:
    """A compiled JSON schema (Draft 2020-12) of a tool's arguments.

    Nothing is ever fetched: a ``$ref`` has to point into the schema itself.

    Args:
        parameters: The schema; empty for a function that takes nothing.

    Raises:
        InvalidSchemaError: If it is no valid schema.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        schema = dict(parameters) or _NO_ARGUMENTS
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as exc:
            where = "".join(f".{part}" for part in exc.absolute_path)
            raise InvalidSchemaError(f"{where or 'schema'}: {exc.message}") from None
        registry: Registry[Any] = Registry()
        _check_references(schema, registry)
        validator = Draft202012Validator(schema, registry=registry)
        self._validator = cast("_Validator", validator)

    def parse(self, arguments: str) -> dict[str, Any]:
        """Return *arguments* as they are to be sent.

        Args:
            arguments: JSON text from the model; nothing at all stands for ``{}``.

        Raises:
            InvalidArgumentsError: If they are no JSON object that fits the schema.
        """
        if len(arguments) > _MAX_BYTES:
            raise InvalidArgumentsError("arguments: too long")
        try:
            parsed = orjson.loads(arguments.strip() or "{}")
        except orjson.JSONDecodeError:
            raise InvalidArgumentsError("arguments: not JSON") from None
        if not isinstance(parsed, dict):
            raise InvalidArgumentsError("arguments: not a JSON object")
        found = cast("dict[str, Any]", parsed)
        wrong = next(self._validator.iter_errors(found), None)
        if wrong is not None:
            where = wrong.json_path.replace("$", "arguments", 1)
            raise InvalidArgumentsError(f"{where}: {wrong.message[:_MAX_TEXT]}")
        return found


def _check_references(schema: dict[str, Any], registry: "Registry[Any]") -> None:
    resource = DRAFT202012.create_resource(schema)
    uri = resource.id() or ""
    resolver = registry.with_resource(uri, resource).crawl().resolver(uri)
    for reference in _references(schema):
        try:
            resolver.lookup(reference)
        except Unresolvable:
            raise InvalidSchemaError(
                f"$ref {reference} does not point into the schema"
            ) from None


def _references(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        for key, value in cast("dict[str, object]", part).items():
            if key in {"$ref", "$dynamicRef"} and isinstance(value, str):
                yield value
            else:
                yield from _references(value)
    elif isinstance(part, list):
        for value in cast("list[object]", part):
            yield from _references(value)
