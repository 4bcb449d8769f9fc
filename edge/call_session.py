"""The session of one call: searched, leased, opened, lost, and searched again."""

from collections.abc import Callable

from backhaul.channels import Channel, ChannelHandler
from backhaul.clock import monotonic_s
from backhaul.core.close_reason import CloseReason
from backhaul.core.messages import Greeting, Message, Open
from edge.call_facts import Caller
from edge.call_help import CallHelp
from edge.call_trace import CallTrace
from edge.core.call_events import (
    CallEvent,
    SessionFailed,
    SessionFound,
    SessionNotFound,
)
from edge.lease import Lease
from edge.metrics import EdgeMetrics
from edge.search import Search

__all__ = ["CallSession"]


class CallSession:
    """What a call has at an agent, if anything.

    Attributes:
        search: The latest search for a session.
        lease: What it has found; None: it goes on, or found nothing.
        channel: The channel to the agent, None while there is none.
        spoken: Whether the caller has heard the model on the channel.
        resumed: Whether the caller had talked to another session before.
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
        self.spoken = False
        self.resumed = False
        self._caller = caller
        self._help = help
        self._metrics = metrics
        self.trace = trace
        self._is_awaited: Callable[[], bool]
        self._feed: Callable[[CallEvent], None]

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

    def next_search(self) -> Search:
        """Return a search for another session, elsewhere than with this one's agent."""
        lease, search = self.lease, self.search
        avoid = () if lease is None else (lease.agent.address,)
        return Search(
            search.call_sid,
            search.profile,
            search.epoch + 1,
            frozenset(avoid),
            leg=self.trace.story.next_leg(now=monotonic_s()),
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

    def open(
        self, handler: ChannelHandler, *, greeted: Greeting | None, resumed: bool
    ) -> None:
        """Start the call at the agent.

        Args:
            handler: The call's end of the channel.
            greeted: What the caller heard from memory.
            resumed: Whether the caller has talked to another session before.
        """
        lease = self.lease
        assert lease is not None  # noqa: S101 - the machine opens what was found
        self.resumed, self.spoken = resumed, False
        played = None if resumed else greeted
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
            ),
        )
        if self.channel is None:
            # The links died since the lease: the call hears it like any other loss.
            self.fail(CloseReason.LINK_LOST)

    def fail(self, reason: CloseReason) -> None:
        """The channel is gone before the caller heard the model."""
        self.trace.story.lost(reason.value, now=monotonic_s())
        self._metrics.session_retries.labels(reason=reason.value).inc()
        self._feed(SessionFailed(reason))

    def close(self, reason: CloseReason) -> None:
        """Close the channel, if there is one."""
        if self.channel is not None:
            self.channel.close(reason)
            self.leave()

    def leave(self) -> None:
        """The channel is closed: its place on the link is free."""
        channel, self.channel = self.channel, None
        if channel is not None and self.lease is not None:
            self.lease.agent.seats.release(channel)

    def summary(self) -> dict[str, object]:
        """Return where the session is and how it was found."""
        lease = self.lease
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
