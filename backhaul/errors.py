"""Every error Warmline raises on purpose, each with a stable code."""

from typing import ClassVar

__all__ = [
    "EndpointError",
    "EndpointRefusedError",
    "EndpointUnreachableError",
    "LinkConnectError",
    "LinkError",
    "LocalProtocolError",
    "MediaStreamError",
    "ProtocolError",
    "RealtimeConnectError",
    "RealtimeError",
    "RealtimeRateLimitedError",
    "RemoteProtocolError",
    "SettingsError",
    "StoreError",
    "TwilioError",
    "WarmlineError",
]


class WarmlineError(Exception):
    """Base of all errors raised on purpose.

    Attributes:
        code: Stable label for logs and metrics.
        retryable: Whether trying again elsewhere or later can succeed.
    """

    code: ClassVar[str] = "warmline_error"
    retryable: ClassVar[bool] = False


class SettingsError(WarmlineError):
    """The configuration cannot be used; holds one line per problem."""

    code = "settings_invalid"

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class LinkError(WarmlineError):
    """A link between an edge and a region agent failed."""

    code = "link_error"
    retryable = True


class LinkConnectError(LinkError):
    """A link could not be opened."""

    code = "link_connect_failed"

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"cannot open a link to {address}: {reason}")
        self.address = address
        self.reason = reason


class ProtocolError(WarmlineError):
    """A protocol was violated."""

    code = "protocol_error"


class LocalProtocolError(ProtocolError):
    """We were about to violate a protocol: a bug on this side."""

    code = "local_protocol_error"


class RemoteProtocolError(ProtocolError):
    """The peer violated a protocol."""

    code = "remote_protocol_error"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TwilioError(WarmlineError):
    """Something on Twilio's side of a call was refused."""

    code = "twilio_error"


class MediaStreamError(TwilioError):
    """A Media Streams message cannot be accepted; the socket must be closed."""

    code = "media_stream_invalid"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RealtimeError(WarmlineError):
    """The Realtime endpoint failed."""

    code = "realtime_error"
    retryable = True


class RealtimeConnectError(RealtimeError):
    """A Realtime session could not be opened or configured."""

    code = "realtime_connect_failed"

    def __init__(self, reason: str) -> None:
        super().__init__(f"cannot open a Realtime session: {reason}")
        self.reason = reason


class RealtimeRateLimitedError(RealtimeError):
    """The Realtime endpoint asks to slow down (HTTP 429).

    Attributes:
        retry_after_s: What the server asked for, None when it did not say.
    """

    code = "realtime_rate_limited"

    def __init__(self, retry_after_s: float | None) -> None:
        super().__init__("the Realtime endpoint answered 429")
        self.retry_after_s = retry_after_s


class StoreError(WarmlineError):
    """Redis did not answer; calls go on without it."""

    code = "store_unavailable"
    retryable = True

    def __init__(self, reason: str) -> None:
        super().__init__(f"the store is unavailable: {reason}")
        self.reason = reason


class EndpointError(WarmlineError):
    """An HTTP endpoint named in a profile cannot be used."""

    code = "endpoint_error"


class EndpointRefusedError(EndpointError):
    """The endpoint has no address that may be connected to."""

    code = "endpoint_refused"

    def __init__(self, host: str) -> None:
        super().__init__(f"{host} has no public address, and no other is allowed")
        self.host = host


class EndpointUnreachableError(EndpointError):
    """The endpoint could not be connected to, or broke off."""

    code = "endpoint_unreachable"
    retryable = True

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(f"{host} cannot be reached: {reason}")
        self.host = host
        self.reason = reason
