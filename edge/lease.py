"""One session of one agent, reserved for one call."""

from dataclasses import dataclass

from backhaul.channels import Channel, ChannelHandler
from backhaul.core.messages import KeptCall, Open
from edge.agent import Agent

__all__ = ["Lease"]


@dataclass(frozen=True, slots=True)
class Lease:
    """One session of one agent, reserved for one call."""

    lease_id: str
    agent: Agent
    instance: str
    """The agent's process that holds the session."""
    warm: bool
    epoch: int = 1
    """How often the call was placed, this time included."""
    kept: KeptCall | None = None
    """Where the call stands whose session it has been since before; None: it is new."""

    def release(self) -> None:
        """Give the session back unused."""
        self.agent.release_lease(self.lease_id, self.instance)

    def open_channel(self, handler: ChannelHandler, message: Open) -> Channel | None:
        """Start the call; None: no link is ready. `Seats.release` must follow."""
        return self.agent.open_channel(handler, message, instance=self.instance)
