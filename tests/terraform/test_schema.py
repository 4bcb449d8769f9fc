"""The rebuilt schema says of the provider's types what its documentation says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.terraform.schema import schema_of, used_types

BINDINGS = """
function gateListToTerraform(struct) {
}
function gateBarToHclTerraform(struct) {
    const attrs = {
        width: {
            value: cdktn.numberToHclTerraform(struct.width),
            isBlock: false,
            type: "simple",
            storageClassType: "number",
        },
    };
}
class GateBarOutputReference extends cdktn.ComplexObject {
    // width - computed: false, optional: false, required: true
    get width() {
        return this.getNumberAttribute('width');
    }
}
class Gate extends cdktn.TerraformResource {
    static tfResourceType = "aws_gate";
            providerVersion: '6.1.2',
    // name - computed: false, optional: false, required: true
    get name() {
        return this.getStringAttribute('name');
    }
    // tags_all - computed: true, optional: true, required: false
    get tagsAll() {
        return this.getStringMapAttribute('tags_all');
    }
    // zones - computed: false, optional: true, required: false
    get zones() {
        return cdktn.Fn.tolist(this.getListAttribute('zones'));
    }
    // bar - computed: false, optional: false, required: true
    _bar = new GateBarList(this, "bar", false);
    // =========
    synthesizeHclAttributes() {
        const attrs = {
            bar: {
                value: cdktn.listMapperHcl(gateBarToHclTerraform, true)(this._bar),
                isBlock: true,
                type: "list",
                storageClassType: "GateBarList",
            },
        };
    }
}
"""


def texts() -> Iterator[str]:
    yield BINDINGS
    yield "class Other extends cdktn.TerraformResource {\n}\n"


def test_arguments_and_blocks_are_read_from_the_bindings() -> None:
    found = schema_of(texts(), {"aws_gate"})
    assert found["version"] == "6.1.2"
    assert found["resources"]["aws_gate"] == {
        "attributes": {
            "name": {"type": "string", "flags": "r"},
            "tags_all": {"type": ["map", "string"], "flags": "oc"},
            "zones": {"type": ["set", "string"], "flags": "o"},
        },
        "blocks": {
            "bar": {
                "nesting": "list",
                "min": 1,
                "max": 0,
                "block": {
                    "attributes": {"width": {"type": "number", "flags": "r"}},
                    "blocks": {},
                },
            }
        },
    }


def test_types_that_nobody_uses_are_left_out() -> None:
    assert schema_of(texts(), set())["resources"] == {}


def test_used_types_are_those_of_resources_and_data(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/main.tf").write_text('resource "aws_vpc" "this" {\n}\n')
    (tmp_path / "main.tf").write_text('data "aws_partition" "current" {}\n')
    assert used_types(tmp_path) == {"aws_vpc", "data.aws_partition"}


def test_the_schema_at_hand_is_the_providers(schema: dict[str, Any]) -> None:
    service = schema["resources"]["aws_ecs_service"]
    assert service["attributes"]["name"] == {"type": "string", "flags": "r"}
    assert service["blocks"]["network_configuration"]["max"] == 1
    rule = schema["resources"]["aws_lb_listener_rule"]
    assert rule["blocks"]["condition"]["min"] == 1
    assert rule["blocks"]["condition"]["nesting"] == "set"
