import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from backhaul.telemetry import configure_logging


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_every_event_is_one_line_of_json() -> None:
    stream = io.StringIO()
    configure_logging(json=True, stream=stream)
    log = structlog.get_logger()
    log.info("call.ended", reason="drained")
    log.debug("session.state_changed")
    log.error("task.failed", exc_info=ValueError("broken\ntwice"))
    ended, failed = lines(stream)
    assert (ended["event"], ended["reason"]) == ("call.ended", "drained")
    assert (ended["level"], "timestamp" in ended) == ("info", True)
    assert "ValueError" in str(failed["exception"])


def test_what_libraries_say_is_not_quoted() -> None:
    stream = io.StringIO()
    configure_logging(json=True, stream=stream)
    logging.getLogger("peer").warning("caller said: my card number is 4111")
    logging.getLogger("peer").info("chatter")
    (line,) = lines(stream)
    assert line["event"] == "library.logged"
    assert line["logger"] == "peer"
    assert "4111" not in stream.getvalue()


def fail(caller: str) -> None:
    heard = f"{caller} said 4111"
    nobody: dict[str, int] = {}
    try:
        nobody[heard]
    except KeyError as exc:
        raise ExceptionGroup(heard, [ValueError(heard)]) from exc


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.filterwarnings("error")
def test_exceptions_show_where_but_not_what(as_json: bool) -> None:
    stream = io.StringIO()
    configure_logging(json=as_json, stream=stream)
    log = structlog.get_logger()
    try:
        fail("+14155550123")
    except ExceptionGroup as exc:
        log.exception("task.failed")
        log.warning("task.failed", exc_info=exc)
    text = stream.getvalue()
    assert "4111" not in text
    assert "+14155550123" not in text
    for word in ("ExceptionGroup", "ValueError", "KeyError", " fail"):
        assert text.count(word) >= 2, word
    assert f"{__file__}:" in text
    if as_json:
        assert len(lines(stream)) == 2


@pytest.mark.parametrize("as_json", [True, False])
def test_failures_of_libraries_are_one_line_without_their_words(as_json: bool) -> None:
    stream = io.StringIO()
    configure_logging(json=as_json, stream=stream)
    log = logging.getLogger('pe"er')
    try:
        fail("+14155550123")
    except ExceptionGroup:
        log.exception("caller said 4111", stack_info=True)
    log.error("4111 again", exc_info=(None, None, None))
    failed, plain = lines(stream)
    assert (failed["logger"], failed["exception"]) == ('pe"er', "ExceptionGroup")
    assert "exception" not in plain
    assert "4111" not in stream.getvalue()


def test_people_get_readable_lines() -> None:
    stream = io.StringIO()
    configure_logging(json=False, stream=stream)
    structlog.get_logger().warning("link.lost", peer="edge-1")
    assert "link.lost" in stream.getvalue()
