"""Calls of an agent whose edge is gone: production's attachment in a thin shell."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backhaul.core.close_reason import CloseReason
from backhaul.core.messages import KeptCall, LeaseRequest, Open
from backhaul.driver import Driver
from region_agent.core.attachment import (
    Attachment,
    AttachmentAction,
    AttachmentChanged,
    AttachmentInput,
    AttachmentState,
    LeaveCall,
)
from tests.simulation.bridge import Bridge
from tests.simulation.network import Channel

if TYPE_CHECKING:
    from tests.simulation.agent import Agent
    from tests.simulation.edge import Edge

ORPHAN_GRACE_S: Final = 5.0
RESERVED_S: Final = 8.0


@dataclass(slots=True)
class _Case:
    bridge: Bridge
    attachment: Attachment
    driver: Driver[AttachmentInput, AttachmentAction]
    epoch: int
    """The latest under which an edge had or reserved it."""
    key: str = ""
    request: LeaseRequest | None = None


class Orphans:
    """Which edge has which call of one agent; see `region_agent.orphans`."""

    def __init__(self, agent: "Agent") -> None:
        self._agent = agent
        self._cases: dict[str, _Case] = {}

    def begin(self, bridge: Bridge) -> None:
        """A call has begun; whoever had it under an earlier epoch has it no more."""
        older = self._cases.get(bridge.call_sid)
        attachment = self._agent.world.machines.attachment(
            grace_s=ORPHAN_GRACE_S, reserved_s=RESERVED_S
        )
        driver: Driver[AttachmentInput, AttachmentAction] = Driver(
            attachment, lambda action: self._perform(bridge, action), self._agent
        )
        self._cases[bridge.call_sid] = _Case(bridge, attachment, driver, bridge.epoch)
        if older is not None and older.bridge.epoch < bridge.epoch:
            older.driver.close()
            moved = older.bridge.edge is bridge.edge
            reason = CloseReason.HANDED_OVER if moved else CloseReason.STALE_EPOCH
            older.bridge.close(reason)

    def end(self, bridge: Bridge) -> None:
        """A call is over."""
        case = self._cases.get(bridge.call_sid)
        if case is not None and case.bridge is bridge:
            case.driver.close()
            del self._cases[bridge.call_sid]

    def tell(self, edge: "Edge", given: AttachmentInput) -> None:
        """The last link of an edge is lost, or the first one there."""
        for case in list(self._cases.values()):
            if case.bridge.edge is edge:
                case.driver.feed(given)

    def _perform(self, bridge: Bridge, action: AttachmentAction) -> None:
        match action:
            case LeaveCall():
                bridge.close(CloseReason.LINK_LOST)
            case AttachmentChanged(old, new):
                note = self._agent.world.note
                note("attachment", bridge.call_sid, old.value, new.value)
                if new is AttachmentState.ORPHANED:
                    bridge.on_edge_lost()
                elif (old, new) == _CAME_BACK:
                    bridge.on_edge_back()

    def find(self, call_sid: str) -> KeptCall | None:
        """Return what is known of a call."""
        case = self._cases.get(call_sid)
        if case is None:
            return None
        epoch = self._agent.fence.latest(call_sid, case.epoch)
        return KeptCall(epoch, case.bridge.kept().profile, here=True)

    def reserve(self, key: str, request: LeaseRequest) -> KeptCall | None:
        """Take a call from its edge, for the one that asks."""
        case = self._cases.get(request.call_sid)
        if case is None or request.epoch <= case.epoch:
            return None
        case.key, case.request, case.epoch = key, request, request.epoch
        kept = case.bridge.reserve()
        case.driver.feed(AttachmentInput.RESERVED)
        return kept

    def reserved(self) -> set[str]:
        """Return the calls that an edge has reserved and not taken yet."""
        return {call_sid for call_sid, case in self._cases.items() if case.key}

    def release(self, key: str) -> None:
        """The edge that has reserved a call does not take it."""
        for case in self._cases.values():
            if case.key == key:
                case.key, case.request = "", None
                case.driver.feed(AttachmentInput.GIVEN_BACK)

    def take(self, channel: Channel, message: Open) -> Bridge | None:
        """Give a call to the edge that opens *channel*, if it has reserved it."""
        case = self._cases.get(message.call_sid)
        asked = None if case is None else case.request
        if case is None or asked is None:
            return None
        if (asked.lease_id, asked.epoch) != (message.lease_id, message.epoch):
            return None
        case.key, case.request = "", None
        case.bridge.take(channel, message)
        case.driver.feed(AttachmentInput.TAKEN)
        return case.bridge


_CAME_BACK: Final = (AttachmentState.ORPHANED, AttachmentState.ATTACHED)
