"""One function of a profile, ready to be called: its request, and what answers mean."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import quote, urlsplit

import httpcore2
import orjson

from backhaul.core.tools import Tool
from backhaul.settings import Secret
from region_agent.environment import expand_headers
from region_agent.guarded_network import Endpoint
from region_agent.tool_arguments import ArgumentSchema, InvalidSchemaError
from region_agent.tool_connections import Answer

__all__ = [
    "ToolFailedError",
    "ToolFunction",
    "ToolOutcome",
    "ToolRequest",
    "failure_of",
    "output_of",
    "prepare",
]

_PATH_CHARACTERS = "/%:@!$&'()*+,;=~-._?"
_WORTH_A_RETRY: Final = frozenset({429, 502, 503, 504})
"""The request was not processed, or says so; all else is an answer."""


class ToolOutcome(StrEnum):
    """How a call of a tool ended."""

    OK = "ok"
    TIMEOUT = "timeout"
    UNKNOWN_TOOL = "unknown_tool"
    BAD_ARGUMENTS = "bad_arguments"
    REFUSED_ADDRESS = "refused_address"
    REDIRECTED = "redirected"
    TOO_LARGE = "too_large"
    INVALID_JSON = "invalid_json"
    HTTP_4XX = "http_4xx"
    HTTP_5XX = "http_5xx"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """A function call as the model made it, and the call it was made in."""

    profile: str
    name: str
    arguments: str = field(repr=False)
    """JSON text as the model wrote it."""
    call_id: str
    """Of the function call."""
    key: str
    """Idempotency key, the same one at every attempt."""
    call_sid: str
    caller: str = field(repr=False)
    """The caller's telephone number."""


class ToolFailedError(Exception):
    """One attempt failed.

    Attributes:
        outcome: How.
        message: For the model, to tell the caller.
        retryable: Whether a second attempt may help.
        reason: For the log, where there is more to know; quotes no peer.
    """

    def __init__(
        self,
        outcome: ToolOutcome,
        message: str,
        *,
        retryable: bool = False,
        reason: str | None = None,
    ) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.message = message
        self.retryable = retryable
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ToolFunction:
    """A tool whose schema is compiled and whose secrets are filled in."""

    tool: Tool
    endpoint: Endpoint
    arguments: ArgumentSchema
    headers: Mapping[str, Secret]

    def request(self, call: ToolRequest) -> httpcore2.Request:
        """Return the request to send, the same one at every attempt.

        Raises:
            InvalidArgumentsError: If the model's arguments do not fit.
        """
        body = orjson.dumps(
            {
                "name": call.name,
                "arguments": self.arguments.parse(call.arguments),
                "call": {
                    "call_sid": call.call_sid,
                    "profile": call.profile,
                    "caller": call.caller,
                },
            }
        )
        own = {
            "host": self._authority,
            "content-type": "application/json",
            "content-length": str(len(body)),
            "accept": "application/json, text/*;q=0.9, */*;q=0.1",
            "accept-encoding": "identity",
            "user-agent": "warmline",
            "idempotency-key": quote(call.key, safe=""),
        }
        profiles = {name: secret.reveal() for name, secret in self.headers.items()}
        return httpcore2.Request(
            "POST", self._url, headers=[*(own | profiles).items()], content=body
        )

    @property
    def _authority(self) -> str:
        host = f"[{self.endpoint.host}]" if ":" in self.endpoint.host else None
        usual = 443 if self.endpoint.secure else 80
        port = "" if self.endpoint.port == usual else f":{self.endpoint.port}"
        return f"{host or self.endpoint.host}{port}"

    @property
    def _url(self) -> httpcore2.URL:
        parts = urlsplit(self.tool.url)
        query = f"?{parts.query}" if parts.query else ""
        return httpcore2.URL(
            scheme=b"https" if self.endpoint.secure else b"http",
            host=self.endpoint.host.encode(),
            port=self.endpoint.port,
            target=quote(f"{parts.path or '/'}{query}", safe=_PATH_CHARACTERS).encode(),
        )


def prepare(
    tool: Tool, environ: Mapping[str, str]
) -> tuple[ToolFunction | None, tuple[str, ...]]:
    """Return *tool* ready to be called, or one line per reason why it cannot be."""
    headers, found = expand_headers(tool.headers, environ)
    problems = [*found]
    try:
        endpoint = Endpoint.of(tool.url, allow_private=tool.allow_private)
        schema = ArgumentSchema(tool.parameters)
    except UnicodeError:
        problems.append("url: not a host name")
    except InvalidSchemaError as exc:
        problems.append(f"parameters: {exc}")
    else:
        if not problems:
            return ToolFunction(tool, endpoint, schema, headers), ()
    return None, tuple(problems)


def output_of(answer: Answer) -> str:
    """Return what the model gets of *answer*.

    Raises:
        ToolFailedError: If it is no success, or cannot be read.
    """
    if not 200 <= answer.status < 300:  # noqa: PLR2004 - 2xx
        raise failure_of(answer.status)
    encoding = answer.headers.get(b"content-encoding", b"identity")
    if encoding.strip().lower() != b"identity":
        raise _unreadable()
    if _is_json(answer.headers.get(b"content-type", b"")):
        try:
            orjson.loads(answer.body)
        except orjson.JSONDecodeError:
            raise _unreadable() from None
    return answer.body.decode(errors="replace")


def failure_of(status: int) -> ToolFailedError:
    """Return what an answer means whose status is no success."""
    retryable = status in _WORTH_A_RETRY
    kind = status // 100
    if kind == 3:  # noqa: PLR2004 - 3xx
        message = "The tool answered from a place that it must not be asked at."
        return ToolFailedError(ToolOutcome.REDIRECTED, message)
    if kind == 4:  # noqa: PLR2004 - 4xx
        message = f"The tool refused the request (status {status})."
        return ToolFailedError(ToolOutcome.HTTP_4XX, message, retryable=retryable)
    message = f"The tool failed (status {status})."
    return ToolFailedError(ToolOutcome.HTTP_5XX, message, retryable=retryable)


def _is_json(content_type: bytes) -> bool:
    media_type = content_type.partition(b";")[0].strip().lower()
    return media_type == b"application/json" or media_type.endswith(b"+json")


def _unreadable() -> ToolFailedError:
    message = "The tool's answer could not be read."
    return ToolFailedError(ToolOutcome.INVALID_JSON, message)
