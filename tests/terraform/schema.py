"""Rebuilds the schema of Terraform's AWS provider from its bindings on PyPI.

``cdktn-provider-aws`` is generated from the provider's own schema. Its JavaScript says
of every argument whether it is required, optional or computed, and of what type it is;
of every block how often it may stand. Run it to follow a new version:
``python -m tests.terraform.schema WHEEL``, with the wheel from ``pip download``.
"""

import io
import json
import re
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["SCHEMA", "TREE", "read_bundle", "schema_of", "used_types"]

TREE = Path(__file__).parents[2] / "terraform"
SCHEMA = Path(__file__).with_name("aws_schema.json")

_Json = dict[str, Any]

_CLASS = re.compile(
    r"^class (?P<name>\w+) extends cdktn\.(?P<base>\w+) \{\n(?P<body>.*?)^\}\n",
    re.DOTALL | re.MULTILINE,
)
_STRUCT = re.compile(
    r"^function (?P<name>\w+)ToHclTerraform\(struct\) \{\n(?P<body>.*?)^\}\n",
    re.DOTALL | re.MULTILINE,
)
_FIELD = re.compile(
    r"^    // (?P<name>\w+) - computed: (?P<computed>\w+), optional: (?P<optional>\w+),"
    r" required: (?P<required>\w+)\n(?P<code>.*?)(?=^    // (?:\w+ - computed|=)|\Z)",
    re.DOTALL | re.MULTILINE,
)
_ENTRY = re.compile(
    r"^ +(?P<name>\w+): \{\n +value: (?P<value>[^\n]*),\n +isBlock: (?P<block>\w+),\n"
    r" +type: \"(?P<kind>\w+)\",\n +storageClassType: \"(?P<storage>\w+)\"",
    re.MULTILINE,
)
_NESTED = re.compile(
    r"new (?P<name>\w+?)(?P<many>List|OutputReference|Map)\(this, \"\w+\""
    r"(?:, (?P<set>true|false))?"
)
_TYPES = (
    ("tolist(this.getListAttribute", ["set", "string"]),
    ("tolist(this.getNumberListAttribute", ["set", "number"]),
    ("this.getListAttribute", ["list", "string"]),
    ("this.getNumberListAttribute", ["list", "number"]),
    ("this.getStringMapAttribute", ["map", "string"]),
    ("this.getNumberMapAttribute", ["map", "number"]),
    ("this.getBooleanMapAttribute", ["map", "bool"]),
    ("cdktn.StringMap(", ["map", "string"]),
    ("cdktn.NumberMap(", ["map", "number"]),
    ("cdktn.BooleanMap(", ["map", "bool"]),
    ("cdktn.StringListMap(", ["map", ["list", "string"]]),
    ("this.getNumberAttribute", "number"),
    ("this.getBooleanAttribute", "bool"),
    ("this.getStringAttribute", "string"),
)
"""How a getter reads an attribute: its type. The first that fits counts."""
_STORED = {"number": "number", "boolean": "bool", "stringMap": ["map", "string"]}


class _Source:
    """One file of the bindings: a resource, a data source, or the provider."""

    def __init__(self, text: str) -> None:
        self.classes = {
            match["name"]: (match["base"], match["body"])
            for match in _CLASS.finditer(text)
        }
        self._structs = {
            match["name"].lower(): match["body"] for match in _STRUCT.finditer(text)
        }

    def block(self, name: str) -> _Json:
        """Return the block that the class *name* stands for."""
        base, body = self.classes[name]
        struct = name.removesuffix("OutputReference").lower()
        entries = _entries(body if base != "ComplexObject" else self._struct(struct))
        attributes, blocks = {}, {}
        for field in _FIELD.finditer(body):
            entry = entries.get(field["name"])
            # A computed block is an attribute that may be written as a block.
            written = field["computed"] == "false"
            if entry is not None and entry["block"] == "true" and written:
                blocks[field["name"]] = self._nested_block(field, entry)
            else:
                attributes[field["name"]] = {
                    "type": self._type(field, entry),
                    "flags": "".join(
                        flag[0]
                        for flag in ("required", "optional", "computed")
                        if field[flag] == "true"
                    ),
                }
        return {"attributes": attributes, "blocks": blocks}

    def _struct(self, name: str) -> str:
        return self._structs.get(name, "")

    def _nested_block(self, field: re.Match[str], entry: re.Match[str]) -> _Json:
        nesting = "single" if entry["kind"] == "struct" else entry["kind"]
        many = nesting in {"list", "set"}
        nested = _NESTED.search(field["code"])
        if nested is None:  # the provider's own blocks have no classes
            struct = re.search(r"(\w+)ToHclTerraform", entry["value"])
            assert struct is not None
            return {
                "nesting": nesting,
                "min": 0,
                "max": 0 if field["name"] in {"assume_role", "endpoints"} else 1,
                "block": self._plain_block(struct[1]),
            }
        return {
            "nesting": nesting,
            "min": int(many and field["required"] == "true"),
            "max": int(many and nested["many"] == "OutputReference"),
            "block": self.block(nested["name"] + "OutputReference"),
        }

    def _plain_block(self, struct: str) -> _Json:
        attributes = {
            name: {"type": _stored(entry), "flags": "o"}
            for name, entry in _entries(self._struct(struct.lower())).items()
        }
        return {"attributes": attributes, "blocks": {}}

    def _type(self, field: re.Match[str], entry: re.Match[str] | None) -> Any:
        nested = _NESTED.search(field["code"])
        if nested is not None and nested["name"] + "OutputReference" in self.classes:
            of = _object(self.block(nested["name"] + "OutputReference"))
            if nested["many"] == "Map":
                return ["map", of]
            if nested["many"] == "OutputReference" and entry is None:
                return of
            is_set = nested["set"] == "true" or (entry and entry["kind"] == "set")
            return ["set" if is_set else "list", of]
        for sign, kind in _TYPES:
            if sign in field["code"]:
                return kind
        if entry is None:
            message = f"{field['name']}: of no known type"
            raise ValueError(message)
        return _stored(entry)


def _entries(text: str) -> dict[str, re.Match[str]]:
    return {match["name"]: match for match in _ENTRY.finditer(text)}


def _stored(entry: re.Match[str]) -> Any:
    """Return the type of an argument by how the bindings write it."""
    of = _STORED.get(entry["storage"].removesuffix("List"), "string")
    return [entry["kind"], of] if entry["kind"] in {"list", "set"} else of


def _object(block: _Json) -> list[Any]:
    """Return the type of an attribute that looks like *block*."""
    members = {name: one["type"] for name, one in block["attributes"].items()}
    for name, one in block["blocks"].items():
        inner = _object(one["block"])
        members[name] = inner if one["nesting"] == "single" else [one["nesting"], inner]
    return ["object", members]


def read_bundle(wheel: Path) -> Iterator[str]:
    """Return the text of every source file in the wheel *wheel*."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(".jsii.tgz")]
        bundle = io.BytesIO(archive.read(names[0]))
    with tarfile.open(fileobj=bundle, mode="r|gz") as files:
        for member in files:
            if member.name.startswith("package/lib/") and member.name.endswith(".js"):
                file = files.extractfile(member)
                assert file is not None
                yield file.read().decode()


def schema_of(texts: Iterator[str], wanted: set[str]) -> _Json:
    """Return the provider's schema, of the types in *wanted* only.

    Args:
        texts: The source files of the bindings.
        wanted: Resource types, and data sources with ``data.`` before their type.
    """
    found: _Json = {"version": "", "provider": {}, "resources": {}, "data": {}}
    for text in texts:
        kinds = re.findall(
            r"class (\w+) extends cdktn\.Terraform(\w+) .*?tfResourceType = \"(\w+)\"",
            text,
            re.DOTALL,
        )
        for name, base, kind in kinds:
            if base == "Provider":
                found["provider"] = _Source(text).block(name)
            elif base == "Resource" and kind in wanted:
                found["resources"][kind] = _Source(text).block(name)
                version = re.search(r"providerVersion: '([\d.]+)'", text)
                found["version"] = version[1] if version else ""
            elif base == "DataSource" and f"data.{kind}" in wanted:
                found["data"][kind] = _Source(text).block(name)
    return found


def used_types(tree: Path = TREE) -> set[str]:
    """Return the types that the Terraform files under *tree* use."""
    used = set()
    for path in tree.rglob("*.tf"):
        text = path.read_text(encoding="utf-8")
        used |= set(re.findall(r'^resource "(\w+)"', text, re.MULTILINE))
        data = re.findall(r'^data "(\w+)"', text, re.MULTILINE)
        used |= {f"data.{kind}" for kind in data}
    return used


def _write(schema: _Json) -> None:
    """Write *schema* with one type a line, so that a difference can be read."""
    lines = [f'"version":{json.dumps(schema["version"])}']
    lines.append(f'"provider":{_compact(schema["provider"])}')
    for part in ("resources", "data"):
        types = ",\n".join(
            f"{json.dumps(kind)}:{_compact(block)}"
            for kind, block in sorted(schema[part].items())
        )
        lines.append(f'"{part}":{{\n{types}\n}}')
    SCHEMA.write_text("{" + ",\n".join(lines) + "}\n", encoding="utf-8")


def _compact(block: _Json) -> str:
    return json.dumps(block, separators=(",", ":"), sort_keys=True)


if __name__ == "__main__":
    rebuilt = schema_of(read_bundle(Path(sys.argv[1])), used_types())
    _write(rebuilt)
    missing = used_types() - rebuilt["resources"].keys()
    missing -= {f"data.{kind}" for kind in rebuilt["data"]}
    sys.stdout.write(f"provider {rebuilt['version']}, missing: {sorted(missing)}\n")
    sys.exit(bool(missing))
