"""Runs one edge: ``python -m edge --config FILE [--name NAME]``."""

import sys

from backhaul.errors import SettingsError
from backhaul.process import run_service, service_parser, show_problems
from backhaul.settings import masked, read_deployment
from edge.service import Edge
from edge.settings import load_settings

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the edge until it is told to stop; return the exit code."""
    parser = service_parser("python -m edge", __doc__)
    parser.add_argument("--name", help="the edge's name in the file")
    options = parser.parse_args(arguments)
    try:
        settings = load_settings(read_deployment(options.config), options.name)
    except SettingsError as exc:
        return show_problems(exc)
    if options.check_config:
        sys.stdout.write(masked(settings).decode() + "\n")
        return 0
    return run_service(
        lambda news: Edge(settings, news=news),
        announce=options.announce,
        log_json=settings.log_json,
    )


if __name__ == "__main__":
    sys.exit(main())
