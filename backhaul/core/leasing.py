"""Messages by which an edge reserves a session for a call, and gives it back."""

from typing import Annotated

from msgspec import Meta

from backhaul.core.close_reason import CloseReason
from backhaul.core.control_message import ControlMessage
from backhaul.core.finding import KeptCall

__all__ = ["LeaseGranted", "LeaseRefused", "LeaseRelease", "LeaseRequest"]


class LeaseRequest(ControlMessage, tag="lease", frozen=True):
    """Reserve one session of *profile* for a call that is ringing."""

    lease_id: str
    call_sid: str
    profile: str
    epoch: Annotated[int, Meta(ge=1)] = 1
    """How often the call was placed, this time included: an agent serves the latest
    epoch that it has heard of, and no earlier one."""
    cold: bool = False
    """Whether a session may be opened for it. If not, the answer comes at once."""
    reattach: bool = False
    """Whether only the session will do that has the call already. Its edge, if it is
    not gone, loses the call by this."""


class LeaseGranted(ControlMessage, tag="granted", frozen=True):
    """A session is reserved; *warm* tells whether it was ready beforehand."""

    lease_id: str
    warm: bool
    kept: KeptCall | None = None
    """Where the call stands whose session it is; see `LeaseRequest.reattach`."""


class LeaseRefused(ControlMessage, tag="refused", frozen=True):
    """No session can be had here now."""

    lease_id: str
    reason: CloseReason


class LeaseRelease(ControlMessage, tag="release", frozen=True):
    """The call behind the lease did not start; take the session back."""

    lease_id: str
