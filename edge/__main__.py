"""Runs one edge: ``python -m edge --config FILE [--name NAME]``."""

import argparse
import os
import sys

from backhaul.errors import SettingsError
from backhaul.news import News
from backhaul.process import Service, run_service, service_parser, show_problems
from backhaul.settings import masked, read_deployment
from backhaul.workers import log_descriptor
from edge.service import Edge
from edge.settings import load_settings
from edge.workers import EdgeWorkers, read_siblings

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the edge until it is told to stop; return the exit code."""
    parser = service_parser("python -m edge", __doc__)
    parser.add_argument("--name", help="the edge's name in the file")
    parser.add_argument("--worker", default="", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    try:
        settings = load_settings(read_deployment(options.config), options.name)
    except SettingsError as exc:
        return show_problems(exc)
    if options.check_config:
        sys.stdout.write(masked(settings).decode() + "\n")
        return 0

    def make(news: News) -> Service:
        if settings.workers == 1:
            return Edge(settings, read_siblings(options.worker), news=news)
        log_to = log_descriptor(announce=options.announce)
        return EdgeWorkers(settings, options.config, environ=os.environ, log_to=log_to)

    return run_service(make, announce=options.announce, log_json=settings.log_json)


if __name__ == "__main__":
    sys.exit(main())
