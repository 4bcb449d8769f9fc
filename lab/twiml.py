"""Reads TwiML into typed verbs, refusing whatever the stand-in would have to guess.

Twilio only warns about some of what is refused here (12200); a stand-in that is
stricter than the real thing finds those mistakes before a real call does.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import ClassVar
from urllib.parse import SplitResult, urlsplit
from xml.etree import ElementTree

from backhaul.errors import TwilioError
from lab.twiml_verbs import (
    Connect,
    Dial,
    DialTarget,
    Enqueue,
    Hangup,
    Pause,
    Play,
    Redirect,
    Refer,
    Reject,
    Say,
    Stream,
    Verb,
)

__all__ = ["MAX_TWIML_BYTES", "TwimlError", "parse_twiml"]

MAX_TWIML_BYTES = 64 * 1024
"""Twilio refuses longer documents with error 11750."""

_MAX_PARAMETER_CHARS = 500
_MAX_COUNT_DIGITS = 4
_TOO_LARGE, _PARSE_FAILURE, _SCHEMA = 11750, 12100, 12200
_NOT_WSS, _MALFORMED_URL = 31922, 31923
_DIAL_TIMEOUT, _DIAL_TIME_LIMIT = 13212, 13216

_MAX_QUEUE_NAME_CHARS = 64
_MAX_DIAL_TARGETS = 10
_SIP_URI = re.compile(r"sips?:[^\s@<>]+@[^\s@<>]+", re.ASCII)
_CALL_EVENTS = frozenset({"initiated", "ringing", "answered", "completed"})
_PROGRESS = frozenset(
    {
        "url",
        "method",
        "statusCallback",
        "statusCallbackMethod",
        "statusCallbackEvent",
    }
)

_ATTRIBUTES: Mapping[str, frozenset[str]] = {
    "Response": frozenset(),
    "Connect": frozenset({"action", "method"}),
    "Stream": frozenset({"url", "name", "statusCallback", "statusCallbackMethod"}),
    "Parameter": frozenset({"name", "value"}),
    "Redirect": frozenset({"method"}),
    "Hangup": frozenset(),
    "Play": frozenset({"loop", "digits"}),
    "Say": frozenset({"voice", "language", "loop"}),
    "Dial": frozenset(
        {"action", "method", "timeout", "timeLimit", "callerId", "answerOnBridge"}
    ),
    "Number": _PROGRESS,
    "Sip": _PROGRESS | {"username", "password"},
    "Enqueue": frozenset({"action", "method"}),
    "Refer": frozenset({"action", "method"}),
    "Pause": frozenset({"length"}),
    "Reject": frozenset({"reason"}),
}
_CHILDREN: Mapping[str, frozenset[str]] = {
    "Connect": frozenset({"Stream"}),
    "Stream": frozenset({"Parameter"}),
    "Dial": frozenset({"Number", "Sip"}),
    "Refer": frozenset({"Sip"}),
}
_WITH_TEXT = frozenset({"Redirect", "Play", "Say", "Dial", "Number", "Sip", "Enqueue"})


class TwimlError(TwilioError):
    """A TwiML document cannot be carried out.

    Attributes:
        twilio_code: The number Twilio reports for this mistake.
    """

    code: ClassVar[str] = "twiml_invalid"

    def __init__(self, twilio_code: int, reason: str) -> None:
        super().__init__(f"{twilio_code}: {reason}")
        self.twilio_code = twilio_code
        self.reason = reason


class _NoDoctype(ElementTree.TreeBuilder):
    """Refuses a document type, and with it every way to define an entity."""

    def doctype(self, name: str, *_ids: str | None) -> None:
        raise TwimlError(_PARSE_FAILURE, f"document type {name!r} is not allowed")


def parse_twiml(document: bytes) -> tuple[Verb, ...]:
    """Return the verbs of a TwiML document in order.

    Raises:
        TwimlError: The document is too long, is not XML, or holds anything that is
            not listed in this module.
    """
    if len(document) > MAX_TWIML_BYTES:
        raise TwimlError(_TOO_LARGE, f"longer than {MAX_TWIML_BYTES} bytes")
    parser = ElementTree.XMLParser(target=_NoDoctype())  # noqa: S314 - see _NoDoctype
    try:
        parser.feed(document)
        root = parser.close()
    except ElementTree.ParseError as exc:
        raise TwimlError(_PARSE_FAILURE, f"not well-formed XML: {exc}") from None
    if root.tag != "Response":
        raise TwimlError(_PARSE_FAILURE, f"root is <{root.tag}>, not <Response>")
    _check(root)
    return tuple(_READERS[element.tag](element) for element in root)


def _check(element: ElementTree.Element) -> None:
    """Refuse unknown attributes, children and text; depth is bounded by the tables."""
    unknown = set(element.attrib) - _ATTRIBUTES[element.tag]
    if unknown:
        raise TwimlError(_SCHEMA, f"<{element.tag}> has no attribute {min(unknown)!r}")
    if element.tag not in _WITH_TEXT and (element.text or "").strip():
        raise TwimlError(_SCHEMA, f"<{element.tag}> takes no text")
    root = element.tag == "Response"
    allowed = set(_READERS) if root else _CHILDREN.get(element.tag, frozenset())
    for child in element:
        if child.tag not in allowed:
            raise TwimlError(_SCHEMA, f"<{child.tag}> inside <{element.tag}>")
        if (child.tail or "").strip():
            raise TwimlError(_SCHEMA, f"text after <{child.tag}>")
        _check(child)


def _connect(element: ElementTree.Element) -> Connect:
    if len(element) != 1:
        raise TwimlError(_SCHEMA, "<Connect> takes exactly one <Stream>")
    return Connect(_stream(element[0]), element.get("action", ""), _method(element))


def _redirect(element: ElementTree.Element) -> Redirect:
    return Redirect(_text(element), _method(element))


def _hangup(_element: ElementTree.Element) -> Hangup:
    return Hangup()


def _pause(element: ElementTree.Element) -> Pause:
    return Pause(_count(element, "length"))


def _reject(element: ElementTree.Element) -> Reject:
    reason = element.get("reason", "rejected")
    if reason not in {"rejected", "busy"}:
        raise TwimlError(_SCHEMA, f"<Reject> reason {reason!r}")
    return Reject(reason)


def _say(element: ElementTree.Element) -> Say:
    voice, language = element.get("voice", ""), element.get("language", "")
    return Say(_text(element), voice, language, _count(element, "loop"))


def _play(element: ElementTree.Element) -> Play:
    digits = element.get("digits", "")
    if set(digits) - set("0123456789*#wW"):
        raise TwimlError(_SCHEMA, "<Play> digits")
    return Play("" if digits else _text(element), digits, _count(element, "loop"))


def _dial(element: ElementTree.Element) -> Dial:
    targets = [_target(child) for child in element]
    number = (element.text or "").strip()
    if number:
        targets.insert(0, DialTarget("Number", number))
    if not targets:
        raise TwimlError(_SCHEMA, "<Dial> names nobody")
    if len(targets) > _MAX_DIAL_TARGETS:
        raise TwimlError(_SCHEMA, f"<Dial> names more than {_MAX_DIAL_TARGETS}")
    return Dial(
        targets=tuple(targets),
        action=element.get("action", ""),
        method=_method(element),
        timeout_s=_seconds(element, "timeout", 30, range(5, 601), _DIAL_TIMEOUT),
        time_limit_s=_seconds(
            element, "timeLimit", 14_400, range(1, 86_401), _DIAL_TIME_LIMIT
        ),
        caller_id=element.get("callerId", ""),
    )


def _target(element: ElementTree.Element) -> DialTarget:
    events = tuple(element.get("statusCallbackEvent", "completed").split())
    if set(events) - _CALL_EVENTS:
        raise TwimlError(_SCHEMA, f"<{element.tag}> statusCallbackEvent")
    return DialTarget(
        kind=element.tag,
        address=_sip_uri(element) if element.tag == "Sip" else _text(element),
        url=element.get("url", ""),
        method=_method(element),
        status_callback=element.get("statusCallback", ""),
        status_callback_method=_method(element, "statusCallbackMethod"),
        events=events,
    )


def _enqueue(element: ElementTree.Element) -> Enqueue:
    name = _text(element)
    if len(name) > _MAX_QUEUE_NAME_CHARS:
        raise TwimlError(_SCHEMA, "<Enqueue> name is too long")
    return Enqueue(name, element.get("action", ""), _method(element))


def _refer(element: ElementTree.Element) -> Refer:
    if len(element) != 1 or element[0].attrib:
        raise TwimlError(_SCHEMA, "<Refer> takes exactly one plain <Sip>")
    return Refer(_sip_uri(element[0]), element.get("action", ""), _method(element))


def _sip_uri(element: ElementTree.Element) -> str:
    uri = _text(element)
    if not _SIP_URI.fullmatch(uri):
        raise TwimlError(_SCHEMA, "<Sip> is not a SIP URI")
    return uri


def _seconds(
    element: ElementTree.Element, name: str, default: int, allowed: range, code: int
) -> int:
    value = element.get(name, str(default))
    if not (value.isascii() and value.isdigit() and int(value[:9]) in allowed):
        raise TwimlError(code, f"<{element.tag}> {name} {value!r}")
    return int(value)


def _stream(element: ElementTree.Element) -> Stream:
    url = element.get("url", "")
    _check_stream_url(url)
    callback = element.get("statusCallback", "")
    if callback and urlsplit(callback).scheme not in {"http", "https"}:
        raise TwimlError(_SCHEMA, "statusCallback is not an absolute URL")
    return Stream(
        url=url,
        name=element.get("name", ""),
        parameters=_parameters(element),
        status_callback=callback,
        status_callback_method=_method(element, "statusCallbackMethod"),
    )


def _parameters(element: ElementTree.Element) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for child in element:
        name, value = child.get("name", ""), child.get("value")
        if not name or value is None:
            raise TwimlError(_SCHEMA, "<Parameter> needs a name and a value")
        if len(name) + len(value) >= _MAX_PARAMETER_CHARS:
            raise TwimlError(_SCHEMA, f"<Parameter> {name[:40]!r} is too long")
        if name in parameters:
            raise TwimlError(_SCHEMA, f"<Parameter> {name[:40]!r} is given twice")
        parameters[name] = value
    return parameters


def _check_stream_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise TwimlError(_MALFORMED_URL, "stream URL cannot be read") from None
    if parts.scheme != "wss" and not (parts.scheme == "ws" and _is_loopback(host)):
        raise TwimlError(_NOT_WSS, f"stream URL scheme is {parts.scheme!r}, not wss")
    if not host or _has_extras(parts, url):
        raise TwimlError(
            _MALFORMED_URL, "stream URL is more or less than host and path"
        )


def _has_extras(parts: SplitResult, url: str) -> bool:
    unsafe = any(not "!" <= character <= "~" for character in url)
    return unsafe or "?" in url or "#" in url or parts.username is not None


def _is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _text(element: ElementTree.Element) -> str:
    text = (element.text or "").strip()
    if not text:
        raise TwimlError(_SCHEMA, f"<{element.tag}> is empty")
    return text


def _method(element: ElementTree.Element, attribute: str = "method") -> str:
    method = element.get(attribute, "POST")
    if method not in {"GET", "POST"}:
        raise TwimlError(_SCHEMA, f"<{element.tag}> {attribute} {method!r}")
    return method


def _count(element: ElementTree.Element, attribute: str) -> int:
    value = element.get(attribute, "1")
    if not (value.isascii() and value.isdigit() and len(value) <= _MAX_COUNT_DIGITS):
        raise TwimlError(_SCHEMA, f"<{element.tag}> {attribute} {value!r}")
    return int(value)


_READERS: Mapping[str, Callable[[ElementTree.Element], Verb]] = {
    "Connect": _connect,
    "Dial": _dial,
    "Enqueue": _enqueue,
    "Hangup": _hangup,
    "Pause": _pause,
    "Play": _play,
    "Redirect": _redirect,
    "Refer": _refer,
    "Reject": _reject,
    "Say": _say,
}
