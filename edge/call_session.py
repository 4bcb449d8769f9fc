"""The session of one call: searched, leased, opened, lost, and searched again."""

from collections.abc import Callable
from typing import Final

import structlog

from backhaul.channels import Channel, ChannelHandler
from backhaul.clock import monotonic_s
from backhaul.core.checkpoint import Checkpoint, VoiceProgress
from backhaul.core.close_reason import CloseReason
from backhaul.core.messages import Greeting, HandoverReason, Kept, Message, Open
from edge.agent import Agent
from edge.call_facts import Caller
from edge.call_help import CallHelp
from edge.call_trace import CallTrace
from edge.core.call_events import (
    CallEvent,
    ChannelClosed,
    SessionFound,
    SessionNotFound,
)
from edge.core.call_memory import CallMemory
from edge.core.call_story import UNWELL
from edge.lease import Lease
from edge.metrics import EdgeMetrics
from edge.search import Search

__all__ = ["CallSession"]

_log = structlog.get_logger()

_FAILURES: Final = frozenset(
    {
        CloseReason.SESSION_LOST,
        CloseReason.INTERNAL_ERROR,
        CloseReason.MODEL_UNAVAILABLE,
    }
)
"""Ends of sessions that speak against a region; of its links, others tell."""


class CallSession:
    """What a call has at an agent, if anything.

    Attributes:
        search: The latest search for a session.
        lease: What it has found, until that is used; None: nothing yet, or at all.
        channel: The channel to the agent, None while there is none.
        seat: Where the channel leads, or the last one led; None: there was none yet.
        attached: Whether the agent has said that it has the call on the channel.
        spoken: Whether the caller has heard the model on the channel.
        was_heard: Whether the caller has heard a model on any channel.
        memory: What the next agent must be told.
        trace: What happens in the call.
    """

    def __init__(
        self,
        search: Search,
        lease: Lease | None,
        *,
        caller: Caller,
        help: CallHelp,  # noqa: A002 - it says best what it is
        metrics: EdgeMetrics,
        trace: CallTrace,
    ) -> None:
        self.search = search
        self.lease = lease
        self.channel: Channel | None = None
        self.seat: Lease | None = None
        self.attached = False
        self.spoken = False
        self.was_heard = False
        self._blamed = False
        """Whether the agent is why a session was lost."""
        self.memory = CallMemory()
        self._caller = caller
        self._help = help
        self._metrics = metrics
        self.trace = trace
        self._is_awaited: Callable[[], bool]
        self._feed: Callable[[CallEvent], None]

    @property
    def agent(self) -> Agent | None:
        """The agent that has, or is to have, the call."""
        lease = self.lease or self.seat
        return None if lease is None else lease.agent

    def begin(
        self, *, is_awaited: Callable[[], bool], feed: Callable[[CallEvent], None]
    ) -> None:
        """Start the search if there is no session yet.

        Args:
            is_awaited: Whether the call still waits for a session.
            feed: Tells the call what happened.
        """
        self._is_awaited, self._feed = is_awaited, feed
        self._search_on()

    def renew(self, search: Search, lease: Lease | None) -> None:
        """Go on with another session, or without one for as long as *search* takes."""
        self.stop_search()
        self.search, self.lease = search, lease
        self._search_on()

    def next_search(self, *, patient: bool = False) -> Search:
        """Return a search for another session: elsewhere, if this one's agent is lost.

        Args:
            patient: See `Search`.
        """
        return self._search("stream_lost", elsewhere=self._blamed, patient=patient)

    def search_beside(self, asked: HandoverReason | None) -> Search:
        """Return a search for a session that is to take over from one that works.

        Args:
            asked: Why its agent asks for that; None: it is the edge's own wish.
        """
        elsewhere = asked is not HandoverReason.SESSION_EXPIRING
        return self._search(asked or UNWELL, elsewhere=elsewhere)

    def _search(self, reason: str, *, elsewhere: bool, patient: bool = False) -> Search:
        agent = self.agent
        return Search(
            self.search.call_sid,
            self.search.profile,
            self.search.epoch + 1,
            frozenset((agent.address,) if agent and elsewhere else ()),
            patient,
            leg=self.trace.story.next_leg(reason, now=monotonic_s()),
        )

    def stop_search(self) -> None:
        """Ask no more agents; what the one that was asked last grants is given back."""
        self.search.wanted = False

    def release(self) -> None:
        """Give the session back unused."""
        if self.lease is not None:
            self.lease.release()

    def tell(self, message: Message) -> None:
        """Say something to the agent, if there is one."""
        if self.channel is not None:
            self.channel.send(message)

    def keep(self, checkpoint: Checkpoint) -> None:
        """Keep what the next agent must know, and say so."""
        self.memory.keep(checkpoint)
        self.tell(Kept(checkpoint.version))

    def open(
        self,
        handler: ChannelHandler,
        *,
        greeted: Greeting | None,
        resumed: bool,
        voice: VoiceProgress,
    ) -> None:
        """Start the call at the agent, or go on with it there.

        Args:
            handler: The call's end of the channel.
            greeted: What the caller heard from memory.
            resumed: Whether the caller has talked to another session before.
            voice: How far the voice has come.
        """
        lease, kept = self.lease, self.memory.checkpoint
        assert lease is not None  # noqa: S101 - the machine opens what was found
        self.lease, self.seat = None, lease
        self.attached = self.spoken = False
        known = resumed or kept is not None
        played = None if known else greeted
        start, unheard = self.memory.unheard()
        story = self.trace.story
        story.attaching(lease.agent.place, warm=lease.warm, now=monotonic_s())
        self.channel = lease.open_channel(
            handler,
            Open(
                lease_id=lease.lease_id,
                call_sid=self.search.call_sid,
                profile=self.search.profile,
                epoch=lease.epoch,
                traceparent=self.trace.parent_of(story.leg.number),
                greeting_text=played.text if played else "",
                greeting_bytes=len(played.audio) if played else 0,
                resumed=resumed,
                caller=self._caller.number,
                over_sip=self._caller.over_sip,
                checkpoint=kept,
                caller_position=start,
                voice=voice if known else VoiceProgress(),
            ),
        )
        if self.channel is None:
            # The links died since the lease: the call hears it like any other loss.
            self.lost(CloseReason.LINK_LOST)
            return
        for frame in unheard:
            self.channel.send_audio(frame)

    def opened(self, session_id: str) -> None:
        """The agent has the call, in a session of the model's server."""
        self.attached = True
        self._testify(failed=False)
        seat = self.seat
        if seat is not None:
            _log.info(
                "call.attached",
                call_sid=self.search.call_sid,
                epoch=seat.epoch,
                region=seat.agent.region,
                agent=seat.agent.agent_id,
                session_id=session_id,
            )

    def _testify(self, *, failed: bool) -> None:
        """Say how it goes with this agent's sessions."""
        if self.seat is not None:
            self.seat.agent.evidence.attempted(failed=failed, now=monotonic_s())

    def lost(self, reason: CloseReason) -> None:
        """The channel is gone, and the call is not over by that."""
        if reason in _FAILURES:
            self._testify(failed=True)
        self._blamed = reason is not CloseReason.SESSION_LOST or not self.spoken
        self.trace.story.lost(reason.value, now=monotonic_s())
        metrics = self._metrics
        count = metrics.sessions_lost if self.spoken else metrics.session_retries
        count.labels(reason=reason.value).inc()
        # If another session is searched already, it is needed by now.
        self.search.patient = self.search.patient or self.was_heard
        self._feed(ChannelClosed(reason))

    def close(self, reason: CloseReason) -> None:
        """Close the channel, if there is one."""
        moved = reason is CloseReason.HANDED_OVER
        if moved and self.search.leg.reason == HandoverReason.MODEL_SILENT:
            self._testify(failed=True)  # a session that says nothing is as good as lost
        if self.channel is not None:
            self.channel.close(reason)
            self.leave()

    def leave(self) -> None:
        """The channel is closed: its place on the link is free."""
        channel, self.channel = self.channel, None
        if channel is not None and self.seat is not None:
            self.seat.agent.seats.release(channel)

    def summary(self) -> dict[str, object]:
        """Return where the session is and how it was found."""
        lease = self.lease or self.seat
        return {
            "agent": lease.agent.address if lease else None,
            "region": lease.agent.region if lease else None,
            "warm": lease.warm if lease else None,
            "epoch": self.search.epoch,
            "asked": self.search.story(),
        }

    def _search_on(self) -> None:
        if self.lease is None:
            self._help.cold_opens.begin(self.search, self._on_found)
        else:
            self._count()
            self._feed(SessionFound())

    def _on_found(self, search: Search, lease: Lease | None) -> None:
        awaited = search is self.search and self._is_awaited()
        if awaited and lease is not None:
            self.lease = lease
            self._count()
            self._feed(SessionFound())
        elif awaited:
            self._feed(SessionNotFound())
        elif lease is not None:
            lease.release()  # the call went another way meanwhile

    def _count(self) -> None:
        self._metrics.calls_placed.labels(step=self.search.step).inc()
