"""Logging of the services: one line per event, JSON in production."""

import logging
import sys
from typing import TextIO

import structlog

__all__ = ["configure_logging"]

_FORMAT = (
    '{"level": "%(levelname)s", "logger": "%(name)s", "event": "library.logged", '
    '"what": "%(funcName)s:%(lineno)d"}'
)
"""Messages of libraries may quote a peer, so only their place is shown."""


def configure_logging(*, json: bool, stream: TextIO | None = None) -> None:
    """Send every log line of this process to *stream*; stdout when None.

    Args:
        json: One JSON object per line; otherwise lines for people.
        stream: Where the lines go.
    """
    stream = stream or sys.stdout
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer()
    )
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if json:
        processors.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        stream=stream, level=logging.WARNING, format=_FORMAT, force=True
    )
