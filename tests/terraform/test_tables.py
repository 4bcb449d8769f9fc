"""The tables of the READMEs are made from the files beside them."""

from pathlib import Path

from tests.terraform.tables import render

VARIABLES = """variable "name" {
  description = "What it is called; a \\"name\\"."
  type        = string
  default     = "warmline"
}

variable "places" {
  description = <<-EOT
    Where it is | or
    was.
  EOT
  type = map(object({ default = string }))
}
"""
README = "# A module\n<!-- tables -->\nstale\n<!-- end of tables -->\nThe end.\n"


def test_variables_and_outputs_become_tables(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(README)
    (tmp_path / "variables.tf").write_text(VARIABLES)
    (tmp_path / "outputs.tf").write_text('output "arn" {\n  description = "Its."\n}\n')
    assert render(tmp_path / "README.md").splitlines() == [
        "# A module",
        "<!-- tables -->",
        "",
        "| variable | default | what it is |",
        "|---|---|---|",
        '| `name` | `"warmline"` | What it is called; a "name". |',
        "| `places` | required | Where it is \\| or was. |",
        "",
        "| output | what it is |",
        "|---|---|",
        "| `arn` | Its. |",
        "",
        "<!-- end of tables -->",
        "The end.",
    ]
