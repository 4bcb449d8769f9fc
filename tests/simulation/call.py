"""One call at an edge: production's call machine, memory and playback clock."""

from typing import TYPE_CHECKING

from backhaul.core.checkpoint import VoiceProgress
from backhaul.core.close_reason import CloseReason
from backhaul.core.messages import (
    Checkpoint,
    Clear,
    Handover,
    HandoverReason,
    Kept,
    KeptCall,
    Message,
    Open,
    Opened,
    Played,
)
from backhaul.driver import Driver
from edge.core.call_events import (
    CallAction,
    CallEnded,
    CallEvent,
    CallState,
    CallStateChanged,
    ChannelClosed,
    CloseChannel,
    CloseStream,
    FindSession,
    MoveWanted,
    OpenChannel,
    PlayGreeting,
    PlayScript,
    ReleaseLease,
    Resumed,
    ScriptPlayed,
    SessionFound,
    SessionNotFound,
    StreamLost,
    StreamStarted,
)
from edge.core.call_machine import ENDED_BY_AGENT, CallConfig
from edge.search import Search
from tests.simulation.agent import PROFILE
from tests.simulation.line import Line
from tests.simulation.network import Channel

if TYPE_CHECKING:
    from tests.simulation.carrier import Carrier
    from tests.simulation.edge import Edge
    from tests.simulation.placement import Lease

CONFIG = CallConfig(
    token_ttl_s=8.0,
    reconnect_timeout_s=8.0,
    hold_limit_s=15.0,
    away_timeout_s=6.0,
)
_PLAYED_EVERY_S = 1.0
_AWAITING = frozenset({CallState.SEARCHING, CallState.HOLDING, CallState.MOVING})
_FAILURES = frozenset(
    {
        CloseReason.SESSION_LOST,
        CloseReason.INTERNAL_ERROR,
        CloseReason.MODEL_UNAVAILABLE,
    }
)


class Call:
    """A call from its webhook to its end; see `edge.call.Call`."""

    def __init__(
        self, edge: "Edge", carrier: "Carrier", search: Search, lease: "Lease | None"
    ) -> None:
        self.edge = edge
        self.carrier = carrier
        self.search = search
        self.lease = lease
        self.seat: Lease | None = None
        self.channel: Channel | None = None
        self.attached = self.spoken = False
        self.attached_once = self.was_heard = False
        self.greeted = b""
        self.refuge = False
        """Whether another edge takes the call when its stream has ended."""
        self.line = Line(self)
        self._blamed = False
        machines = edge.world.machines
        self.memory = machines.call_memory()
        now = edge.clock.now
        self.machine = machines.call_machine(CONFIG, leased=lease is not None, now=now)
        self._driver: Driver[CallEvent, CallAction] = Driver(
            self.machine, self._perform, edge
        )
        self._driver.start()

    def begin(self) -> None:
        """Search, if there is no session yet."""
        self._search_on()

    def resume(self, kept: KeptCall, *, streams: int) -> None:
        """Go on where another edge was lost."""
        self.was_heard = True
        self.memory.resume(kept)
        self.line.playout.resume(kept.voice_position)
        self.machine.streams = streams

    @property
    def state(self) -> CallState:
        return self.machine.state

    def feed(self, event: CallEvent) -> None:
        self._driver.feed(event)

    def move(self) -> None:
        self.feed(MoveWanted())

    # The Media Stream

    def on_stream_started(self) -> None:
        self.line.attach()
        self.feed(StreamStarted())

    def on_media(self, audio: bytes) -> None:
        self.memory.audio.append(audio)
        if self.channel is not None:
            self.channel.send_audio(audio)

    def on_action(self) -> None:
        """The carrier asks how the call goes on."""
        if self.refuge:
            self.carrier.ask_another()
            return
        self.feed(StreamLost(CloseReason.MEDIA_STREAM_LOST))
        if not self.machine.may_resume:
            self.carrier.give_up("goodbye")
            return
        search = self._next_search(elsewhere=self._blamed, patient=self.was_heard)
        self.edge.placement.warm(search, lambda lease: self._resume(search, lease))

    def _resume(self, search: Search, lease: "Lease | None") -> None:
        if not self.machine.may_resume:
            if lease is not None:
                self.edge.placement.release(lease)
            return
        if lease is None and not search.hopeful:
            self.carrier.give_up("goodbye")
            return
        self.feed(Resumed())
        self._renew(search, lease)
        self.carrier.connect()

    # The channel

    def on_audio(self, audio: bytes) -> None:
        self.spoken = self.was_heard = True
        self.line.play(audio)

    def on_message(self, message: Message) -> None:
        match message:
            case Clear():
                self.line.clear()
            case Opened():
                self.attached = self.attached_once = True
                self._testify(failed=False)
            case Checkpoint():
                self.memory.keep(message)
                if self.channel is not None:
                    self.channel.send(Kept(message.version))
            case Handover(reason):
                self.feed(MoveWanted(reason))
            case _:
                pass

    def on_channel_closed(self, reason: CloseReason) -> None:
        self.channel = None
        if reason not in ENDED_BY_AGENT:
            self._lost(reason)
        self.feed(ChannelClosed(reason))

    def _lost(self, reason: CloseReason) -> None:
        if reason in _FAILURES:
            self._testify(failed=True)
        self._blamed = reason is not CloseReason.SESSION_LOST or not self.spoken
        self.search.patient = self.search.patient or self.was_heard

    def _testify(self, *, failed: bool) -> None:
        if self.seat is not None:
            region = self.edge.regions[self.seat.link.agent.region]
            region.evidence.attempted(failed=failed, now=self.edge.clock.now)

    # What the machine orders

    def _perform(self, action: CallAction) -> None:
        match action:
            case PlayGreeting():
                if self.was_heard:
                    return
                self.greeted = self.edge.world.greeting
                self.line.play(self.greeted)
            case PlayScript():
                self.search.wanted = False
                self.feed(ScriptPlayed())
            case CloseStream():
                self.line.detach()
            case CallStateChanged(old, new, reason):
                note = self.edge.world.note
                note("call", self.search.call_sid, old.value, new.value, reason)
            case CallEnded(reason):
                self._end(reason)
            case _:
                self._perform_at_agent(action)

    def _perform_at_agent(self, action: CallAction) -> None:
        match action:
            case FindSession(asked):
                self._renew(self._search_anew(asked), None)
            case OpenChannel():
                self._open_channel()
            case ReleaseLease():
                if self.lease is not None:
                    self.edge.placement.release(self.lease)
            case CloseChannel(reason):
                if self.channel is not None:
                    self.channel.close(reason)
                    self.channel = None
            case _:
                pass

    def _end(self, reason: CloseReason) -> None:
        self._driver.close()
        self.search.wanted = False
        self.edge.calls.pop(self.search.call_sid, None)
        self.carrier.on_call_ended(self, reason)

    # The session

    def _search_anew(self, asked: HandoverReason | None) -> Search:
        if self.state is CallState.MOVING:
            elsewhere = asked is not HandoverReason.SESSION_EXPIRING
            return self._next_search(elsewhere=elsewhere)
        return self._next_search(elsewhere=self._blamed, patient=self.was_heard)

    def _next_search(self, *, elsewhere: bool, patient: bool = False) -> Search:
        lease = self.lease or self.seat
        known = lease is not None and elsewhere
        avoid = (lease.link.agent.address,) if lease is not None and known else ()
        sid, epoch = self.search.call_sid, self.search.epoch + 1
        return Search(sid, PROFILE, epoch, frozenset(avoid), patient)

    def _renew(self, search: Search, lease: "Lease | None") -> None:
        self.search.wanted = False
        self.search, self.lease = search, lease
        self._search_on()

    def _search_on(self) -> None:
        search = self.search
        if self.lease is not None:
            self.feed(SessionFound())
        else:
            self.edge.placement.cold(
                search, lambda lease: self._on_found(search, lease)
            )

    def _on_found(self, search: Search, lease: "Lease | None") -> None:
        awaited = search is self.search and self.state in _AWAITING
        if awaited and lease is not None:
            self.lease = lease
            self.feed(SessionFound())
        elif awaited:
            self.feed(SessionNotFound())
        elif lease is not None:
            self.edge.placement.release(lease)

    def _open_channel(self) -> None:
        lease, kept = self.lease, self.memory.checkpoint
        assert lease is not None
        resumed = self.was_heard or self.machine.streams > 1
        if self.was_heard and kept is None:
            self.line.clear()
        self.lease, self.seat = None, lease
        self.attached = self.spoken = False
        known = resumed or kept is not None
        greeting = b"" if known else self.greeted
        start, unheard = self.memory.unheard()
        self.edge.world.checker.on_open(self, start)
        if not lease.link.usable:
            self._lost(CloseReason.LINK_LOST)
            self.feed(ChannelClosed(CloseReason.LINK_LOST))
            return
        self.channel = channel = Channel(lease.link, self)
        channel.open(
            Open(
                lease_id=lease.lease_id,
                call_sid=self.search.call_sid,
                profile=PROFILE,
                epoch=lease.epoch,
                greeting_text=self.edge.world.profile.greeting if greeting else "",
                greeting_bytes=len(greeting),
                resumed=resumed,
                checkpoint=kept,
                caller_position=start,
                voice=self.line.progress() if known else VoiceProgress(),
            )
        )
        for frame in unheard:
            channel.send_audio(frame)
        if self.line.playout.played:
            channel.send(Played(self.line.playout.played))
