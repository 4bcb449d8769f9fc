"""Logging of the services: one line per event, JSON in production.

Messages of exceptions and of libraries may quote a caller or a peer. A log line shows
where they came from and of which type they were, never what they say.
"""

import logging
import sys
import traceback
from collections.abc import Iterator
from typing import TextIO, cast

import orjson
import structlog

from backhaul.news import News

__all__ = ["configure_logging"]


def configure_logging(
    *, json: bool, stream: TextIO | None = None, news: News | None = None
) -> None:
    """Send every log line of this process to *stream*; stdout when None.

    Args:
        json: One JSON object per line; otherwise lines for people.
        stream: Where the lines go.
        news: Keeps the latest of them as well.
    """
    stream = stream or sys.stdout
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if json
        else structlog.dev.ConsoleRenderer(
            exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionRenderer(_without_messages),
            *(() if news is None else (news.log_processor,)),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_LibraryFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


class _LibraryFormatter(logging.Formatter):
    """Tells that a library logged something, and where; one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "level": record.levelname,
            "logger": record.name,
            "event": "library.logged",
            "what": f"{record.funcName}:{record.lineno}",
        }
        if record.exc_info and record.exc_info[0]:
            line["exception"] = record.exc_info[0].__qualname__
        return orjson.dumps(line).decode()


def _without_messages(exc_info: structlog.typing.ExcInfo) -> str:
    return "\n".join(_frames(exc_info[1]))


def _frames(exc: BaseException, seen: frozenset[int] = frozenset()) -> Iterator[str]:
    """Yield the type and the frames of *exc* and of all that led to it."""
    yield type(exc).__qualname__
    for frame, line in traceback.walk_tb(exc.__traceback__):
        yield f"  {frame.f_code.co_filename}:{line} {frame.f_code.co_name}"
    seen |= {id(exc)}
    for other in _origins(exc):
        if id(other) not in seen:
            yield from _frames(other, seen)


def _origins(exc: BaseException) -> Iterator[BaseException]:
    if isinstance(exc, BaseExceptionGroup):
        yield from cast("BaseExceptionGroup[BaseException]", exc).exceptions
    if exc.__cause__ is not None:
        yield exc.__cause__
    elif exc.__context__ is not None and not exc.__suppress_context__:
        yield exc.__context__
