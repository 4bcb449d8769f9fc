"""Calls whose edge is gone: their sessions wait, and another edge finds them."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from backhaul.channels import Channel
from backhaul.core.messages import (
    CloseReason,
    Find,
    Found,
    Hello,
    KeptCall,
    LeaseRequest,
    Open,
)
from backhaul.driver import LoopDriver
from backhaul.links import Link
from backhaul.tasks import TaskOwner
from region_agent.bridge import Bridge
from region_agent.core.attachment import (
    Attachment,
    AttachmentAction,
    AttachmentChanged,
    AttachmentInput,
    AttachmentState,
    LeaveCall,
)
from region_agent.core.epoch_fence import EpochFence

__all__ = ["Orphans"]

_MAX_FINDS: Final = 256
"""Searches of the store at once; beyond that, nothing is known."""

_log = structlog.get_logger()


@dataclass(slots=True)
class _Case:
    """One call, and its edge."""

    bridge: Bridge
    attachment: Attachment
    driver: LoopDriver[AttachmentInput, AttachmentAction]
    epoch: int
    """The latest under which an edge had or reserved it."""
    key: str = ""
    """Of the lease under which an edge has reserved it."""
    request: LeaseRequest | None = None


class Orphans:
    """Which edge has which call of this agent.

    Attributes:
        changes: How often a call came into each state.
        found: Searches of edges by what came of them.
        fence: Knows the epochs of calls, those asked for in vain as well.
    """

    def __init__(
        self,
        *,
        grace_s: float,
        reserved_s: float,
        recall: Callable[[str], Awaitable[KeptCall | None]],
    ) -> None:
        """Know of no call yet.

        Args:
            grace_s: How long a call waits for an edge (s).
            reserved_s: How long it waits for one that has announced itself (s).
            recall: Returns what the region's store knows of a call.
        """
        self.changes: Counter[AttachmentState] = Counter()
        self.found: Counter[str] = Counter()
        self.fence = EpochFence()
        self._grace_s = grace_s
        self._reserved_s = reserved_s
        self._recall = recall
        self._cases: dict[str, _Case] = {}
        self._finds = 0
        self._tasks = TaskOwner()

    def states(self) -> Counter[AttachmentState]:
        """Count the calls by where their caller's end is."""
        return Counter(case.attachment.state for case in self._cases.values())

    async def aclose(self) -> None:
        """Search no more."""
        for case in self._cases.values():
            case.driver.close()
        await self._tasks.aclose()

    # Coming and going of calls and edges

    def begin(self, bridge: Bridge) -> None:
        """A call has begun; whoever had it under an earlier epoch has it no more."""
        older = self._cases.get(bridge.call_sid)
        attachment = Attachment(grace_s=self._grace_s, reserved_s=self._reserved_s)

        def perform(action: AttachmentAction) -> None:
            self._perform(bridge, action)

        driver = LoopDriver(attachment, perform)
        self._cases[bridge.call_sid] = _Case(bridge, attachment, driver, bridge.epoch)
        if older is not None and older.bridge.epoch < bridge.epoch:
            older.driver.close()
            # The same edge says so itself, but perhaps on another link, and later.
            moved = older.bridge.edge == bridge.edge
            older.bridge.close(
                CloseReason.HANDED_OVER if moved else CloseReason.STALE_EPOCH
            )

    def end(self, bridge: Bridge) -> None:
        """A call is over."""
        case = self._cases.get(bridge.call_sid)
        if case is not None and case.bridge is bridge:
            case.driver.close()
            del self._cases[bridge.call_sid]

    def on_edge_lost(self, edge: Hello) -> None:
        """No link leads to *edge* any more."""
        self._tell(edge, AttachmentInput.EDGE_LOST)

    def on_edge_ready(self, edge: Hello) -> None:
        """A link leads to *edge*."""
        self._tell(edge, AttachmentInput.EDGE_BACK)

    def _tell(self, edge: Hello, given: AttachmentInput) -> None:
        for case in list(self._cases.values()):
            if case.bridge.edge == edge:
                case.driver.feed(given)

    def _perform(self, bridge: Bridge, action: AttachmentAction) -> None:
        match action:
            case LeaveCall():
                bridge.close(CloseReason.LINK_LOST)
            case AttachmentChanged(old, new):
                self._on_changed(bridge, old, new)

    def _on_changed(
        self, bridge: Bridge, old: AttachmentState, new: AttachmentState
    ) -> None:
        self.changes[new] += 1
        _log.info(
            "call.attachment_changed",
            call_sid=bridge.call_sid,
            old=old.value,
            new=new.value,
        )
        if new is AttachmentState.ORPHANED:
            bridge.on_edge_lost()
        elif old is AttachmentState.ORPHANED and new is AttachmentState.ATTACHED:
            bridge.on_edge_back()

    # Searches

    def find(self, link: Link, message: Find) -> None:
        """Tell the edge behind *link* what is known of a call, now or soon."""
        case = self._cases.get(message.call_sid)
        if case is not None:
            self.found["here"] += 1
            epoch = self.fence.latest(message.call_sid, case.epoch)
            kept = KeptCall(epoch, case.bridge.kept().profile, here=True)
            link.send(Found(message.call_sid, kept))
        elif self._finds < _MAX_FINDS:
            self._finds += 1
            self._tasks.spawn(self._look_up(link, message.call_sid), name="find")
        else:
            self.found["crowded"] += 1
            link.send(Found(message.call_sid))

    async def _look_up(self, link: Link, call_sid: str) -> None:
        try:
            kept = await self._recall(call_sid)
        finally:
            self._finds -= 1
        self.found["unknown" if kept is None else "copy"] += 1
        link.send(Found(call_sid, kept))

    def reserve(self, key: str, request: LeaseRequest) -> KeptCall | None:
        """Take a call from its edge, for the one that asks; None: it is not here.

        Args:
            key: Names the lease.
            request: What is asked for; its epoch is not stale.
        """
        case = self._cases.get(request.call_sid)
        if case is None or request.epoch <= case.epoch:
            return None
        kept = case.bridge.kept()
        if kept.profile != request.profile:
            return None
        case.key, case.request, case.epoch = key, request, request.epoch
        kept = case.bridge.reserve()
        case.driver.feed(AttachmentInput.RESERVED)
        return kept

    def release(self, key: str) -> None:
        """The edge that has reserved a call does not take it."""
        for case in self._cases.values():
            if case.key == key:
                case.key, case.request = "", None
                case.driver.feed(AttachmentInput.GIVEN_BACK)

    def take(self, channel: Channel, message: Open) -> Bridge | None:
        """Give a call to the edge that opens *channel*; None: it was not reserved."""
        case = self._cases.get(message.call_sid)
        asked = None if case is None else case.request
        if case is None or asked is None:
            return None
        named = (asked.lease_id, asked.epoch, asked.profile)
        if named != (message.lease_id, message.epoch, message.profile):
            return None
        case.key, case.request = "", None
        case.bridge.take(channel, message)
        case.driver.feed(AttachmentInput.TAKEN)
        return case.bridge
