"""Why channels and leases end."""

from enum import StrEnum

__all__ = ["CloseReason"]


class CloseReason(StrEnum):
    """Why a channel or a lease ended. Stable labels for logs and metrics."""

    CALLER_HUNG_UP = "caller_hung_up"
    MODEL_HUNG_UP = "model_hung_up"
    SILENCE = "silence"
    MAX_DURATION = "max_duration"
    TRANSFERRED = "transferred"
    SESSION_LOST = "session_lost"
    LINK_LOST = "link_lost"
    LEASE_UNKNOWN = "lease_unknown"
    DRAINED = "drained"
    NO_ANSWER = "no_answer"
    NO_STOCK = "no_stock"
    UNKNOWN_PROFILE = "unknown_profile"
    AT_CAPACITY = "at_capacity"
    MODEL_UNAVAILABLE = "model_unavailable"
    MEDIA_STREAM_INVALID = "media_stream_invalid"
    MEDIA_STREAM_LOST = "media_stream_lost"
    NEVER_STARTED = "never_started"
    SUPERSEDED = "superseded"
    HANDED_OVER = "handed_over"
    """The call goes on at another agent, on purpose."""
    STALE_EPOCH = "stale_epoch"
    """The call goes on elsewhere by now, under a later epoch."""
    INTERNAL_ERROR = "internal_error"
