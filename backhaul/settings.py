"""Reads settings: environment over TOML file over default; every problem in one go."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast, get_origin

import msgspec
from msgspec import Meta

from backhaul.core.profile import Profile
from backhaul.errors import SettingsError

__all__ = [
    "DeploymentFile",
    "Region",
    "Secret",
    "build",
    "environment_values",
    "masked",
    "read_deployment",
]

StructT = TypeVar("StructT", bound=msgspec.Struct)


class Secret:
    """A value that must not be seen; its repr and str hide it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value itself."""
        return self._value

    def __bool__(self) -> bool:
        """Tell whether there is a value."""
        return bool(self._value)

    def __repr__(self) -> str:
        """Hide the value."""
        return "Secret('***')" if self._value else "Secret('')"

    __str__ = __repr__


class Region(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One region as the edges see it."""

    agents: tuple[str, ...]
    """host:port of the link listener of every agent."""
    latitude: Annotated[float, Meta(ge=-90, le=90)] | None = None
    """Where it is (degrees), with `longitude`: the distance to an edge stands in for
    the round trip until one was measured."""
    longitude: Annotated[float, Meta(ge=-180, le=180)] | None = None
    """Degrees, east is positive."""

    def problems(self) -> tuple[str, ...]:
        """Return one line per value that cannot be used."""
        found = [
            f"agents: {address!r} is not host:port"
            for address in self.agents
            if not _is_address(address)
        ]
        if (self.latitude is None) != (self.longitude is None):
            found.append("latitude and longitude: both or none")
        return tuple(found)


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16


class DeploymentFile(msgspec.Struct, frozen=True):
    """The configuration file: one for a whole deployment.

    The tables of the services stay raw; each service builds its own settings.
    """

    regions: dict[str, Region]
    profiles: dict[str, Profile]
    numbers: dict[str, str]
    """Called number (E.164, or * for every other) -> profile name."""
    edges: dict[str, dict[str, Any]]
    edge: dict[str, Any]
    region_agent: dict[str, Any]
    directory: Path
    """Where relative paths in the file start."""


def read_deployment(path: Path) -> DeploymentFile:
    """Read and check the configuration file.

    Raises:
        SettingsError: With one line per problem.
    """
    raw = _read_toml(path)
    problems: list[str] = []
    known = {"regions", "profiles", "numbers", "edges", "edge", "region_agent"}
    problems += [f"{key}: unknown table" for key in raw if key not in known]
    tables = {key: _table(raw, key, problems) for key in sorted(known)}
    regions = _build_each(Region, tables["regions"], "regions", problems)
    profiles = _build_each(Profile, tables["profiles"], "profiles", problems)
    for number, name in tables["numbers"].items():
        if not isinstance(name, str):
            problems.append(f"numbers: {number} must lead to the name of a profile")
        elif name not in tables["profiles"]:
            problems.append(f"numbers: {number} leads to unknown profile {name!r}")
    for name in tables["edges"]:
        _table(tables["edges"], name, problems, where=f"edges.{name}")
    if problems:
        raise SettingsError(tuple(problems))
    return DeploymentFile(
        regions=regions,
        profiles=profiles,
        numbers=tables["numbers"],
        edges=tables["edges"],
        edge=tables["edge"],
        region_agent=tables["region_agent"],
        directory=path.parent,
    )


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise SettingsError((f"{path}: {exc.strerror or 'cannot be read'}",)) from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise SettingsError((f"{path}: {exc}",)) from exc


def _table(
    raw: Mapping[str, Any], key: str, problems: list[str], *, where: str = ""
) -> dict[str, Any]:
    value = raw.get(key, {})
    if isinstance(value, dict):
        return cast("dict[str, Any]", value)
    problems.append(f"{where or key}: must be a table")
    return {}


def _build_each(
    struct: type[StructT], table: dict[str, Any], where: str, problems: list[str]
) -> dict[str, StructT]:
    built: dict[str, StructT] = {}
    for name in table:
        values = _table(table, name, problems, where=f"{where}.{name}")
        try:
            built[name] = build(struct, values, where=f"{where}.{name}")
        except SettingsError as exc:
            problems += exc.problems
    return built


def build(
    struct: type[StructT], values: Mapping[str, Any], *, where: str = ""
) -> StructT:
    """Return *struct* made from *values*, or every problem at once.

    A struct may have a method ``problems()`` for checks across its fields.

    Raises:
        SettingsError: With one line per unknown key, missing or ill-typed value.
    """
    prefix = f"{where}." if where else ""
    fields = {field.name: field for field in msgspec.structs.fields(struct)}
    problems = [f"{prefix}{key}: unknown key" for key in values if key not in fields]
    converted: dict[str, Any] = {}
    for name, field in fields.items():
        if name in values:
            try:
                converted[name] = _convert(values[name], field.type)
            except msgspec.ValidationError as exc:
                problems.append(f"{prefix}{name}: {exc}")
        elif field.required:
            problems.append(f"{prefix}{name}: missing")
    if problems:
        raise SettingsError(tuple(problems))
    result = struct(**converted)
    check = getattr(result, "problems", None)
    if check is not None and (found := check()):
        raise SettingsError(tuple(f"{prefix}{line}" for line in found))
    return result


def _convert(value: object, wanted: Any) -> Any:  # noqa: ANN401 - any field type
    if isinstance(value, str) and get_origin(wanted) is tuple:
        # The environment has no lists: values are separated by commas there.
        value = tuple(part.strip() for part in value.split(",") if part.strip())
    return msgspec.convert(value, wanted, strict=False, dec_hook=_decode_special)


def _decode_special(wanted: type, value: Any) -> Any:  # noqa: ANN401 - msgspec's hook
    if wanted is Secret:
        return Secret(str(value))
    if wanted is Path:
        return Path(str(value))
    raise NotImplementedError


def environment_values(
    struct: type[msgspec.Struct],
    *,
    prefix: str,
    aliases: Mapping[str, str],
    environ: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the settings of *struct* that the environment names.

    Args:
        struct: The settings type.
        prefix: For example ``EDGE_``; ``EDGE_HTTP_PORT`` feeds ``http_port``.
        aliases: Names known without the prefix, for example ``OPENAI_API_KEY``.
        environ: Stands in for the process's environment.

    Raises:
        SettingsError: If a variable with the prefix feeds no field.
    """
    environ = os.environ if environ is None else environ
    fields = {field.name for field in msgspec.structs.fields(struct)}
    found: dict[str, str] = {}
    problems: list[str] = []
    for variable, value in environ.items():
        if variable in aliases:
            found.setdefault(aliases[variable], value)  # our own variable wins
        elif variable.startswith(prefix):
            name = variable.removeprefix(prefix).lower()
            if name in fields:
                found[name] = value
            else:
                problems.append(f"{variable}: unknown environment variable")
    if problems:
        raise SettingsError(tuple(problems))
    return found


def masked(settings: msgspec.Struct) -> bytes:
    """Return *settings* as indented JSON with every secret masked."""

    def encode(value: object) -> object:
        if isinstance(value, Secret):
            return "***" if value else ""
        return str(value)

    return msgspec.json.format(msgspec.json.encode(settings, enc_hook=encode))
