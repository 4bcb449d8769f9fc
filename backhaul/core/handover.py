"""The message by which an agent asks the edge to take a call to another session."""

from enum import StrEnum

from backhaul.core.control_message import ControlMessage

__all__ = ["Handover", "HandoverReason"]


class HandoverReason(StrEnum):
    """Why a call has to go; stable labels for logs and metrics."""

    DRAINING = "draining"
    """The agent is about to stop: the call goes to another one."""
    SESSION_EXPIRING = "session_expiring"
    """The model's server ends the session soon; the agent may have a fresh one."""
    MODEL_SILENT = "model_silent"
    """The session answers, but the voice that it owes the caller does not come."""
    MODEL_DEAF = "model_deaf"
    """The caller speaks, and the session does not notice."""

    @classmethod
    def _missing_(cls, value: object) -> "HandoverReason | None":
        """Return what to make of a reason that only a newer agent knows."""
        return cls.DRAINING if isinstance(value, str) else None


class Handover(ControlMessage, tag="handover", frozen=True):
    """Go on with this call in another session, and close the channel then.

    Until then it is talked on as ever. An edge that finds no session does nothing, and
    is asked again.
    """

    reason: HandoverReason
