"""Runs one region agent: ``python -m region_agent --config FILE``."""

import os
import sys

from backhaul.errors import SettingsError
from backhaul.news import News
from backhaul.process import Service, run_service, service_parser, show_problems
from backhaul.settings import masked, read_deployment
from backhaul.workers import log_descriptor
from region_agent.service import RegionAgent
from region_agent.settings import load_settings
from region_agent.workers import AgentWorkers

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the agent until it is told to stop; return the exit code."""
    options = service_parser("python -m region_agent", __doc__).parse_args(arguments)
    try:
        deployment = read_deployment(options.config)
        settings = load_settings(deployment)
    except SettingsError as exc:
        return show_problems(exc)
    if options.check_config:
        sys.stdout.write(masked(settings).decode() + "\n")
        return 0

    def make(news: News) -> Service:
        if settings.workers == 1:
            return RegionAgent(settings, deployment, environ=os.environ, news=news)
        log_to = log_descriptor(announce=options.announce)
        return AgentWorkers(settings, options.config, environ=os.environ, log_to=log_to)

    return run_service(
        make,
        announce=options.announce,
        log_json=settings.log_json,
    )


if __name__ == "__main__":
    sys.exit(main())
