"""The carrier with one caller: webhook, Media Stream, action URL, hanging up."""

import functools
from typing import TYPE_CHECKING

from backhaul.core.close_reason import CloseReason
from backhaul.core.messages import KeptCall
from edge.core.call_events import CallCompleted, ChannelClosed, StreamStopped
from edge.search import Search
from tests.simulation.agent import PROFILE
from tests.simulation.call import Call
from tests.simulation.clock import Timer
from tests.simulation.rescue import Rescue
from tests.simulation.script import BYTES_PER_S, FRAME_BYTES, FRAME_S, Script

if TYPE_CHECKING:
    from tests.simulation.edge import Edge
    from tests.simulation.placement import Lease
    from tests.simulation.world import World

_WAY_S = 0.02
_WEBHOOK_S = 1.5
"""The carrier's patience; then it asks another edge, if there is one."""


class Carrier:
    """One call as the carrier has it."""

    def __init__(
        self, world: "World", script: Script, edge: "Edge", *, dials_after_s: float
    ) -> None:
        self.world = world
        self.dials_after_s = dials_after_s
        self.script = script
        self.edge = edge
        self.call: Call | None = None
        self.position = 0
        """How much of the caller's audio was streamed."""
        self.outcome = ""
        """How it ended; empty: it has not."""
        self.heard: list[tuple[float, int, int]] = []
        """What the caller was given: when, by which session (0: greeting), bytes."""
        self.streaming = False
        self.rescued = self.kept_session = False
        """Whether another edge took it, as its own was gone; and with its session."""
        self._answered = False
        self._stream = 0
        self._queue_ends_at = 0.0
        self._marks: list[tuple[str, Timer]] = []

    @property
    def speaks(self) -> bool:
        """Whether the caller is saying something."""
        turns = self.script.turns
        return any(turn.start <= self.position <= turn.end for turn in turns)

    @property
    def over(self) -> bool:
        return bool(self.outcome)

    def dial(self) -> None:
        """The caller calls; the carrier posts the voice webhook."""
        takers = [one for one in self.world.edges if one.takes_calls]
        if self.edge.draining and takers:
            self.edge = takers[0]
        self._post(self.edge, epoch=1)

    def _post(self, edge: "Edge", *, epoch: int) -> None:
        self.world.note("dialled", self.script.call_sid, edge.name)
        search = Search(self.script.call_sid, PROFILE, epoch)
        taken = functools.partial(self._take, edge, search)
        edge.run(lambda: edge.placement.warm(search, taken))
        if epoch == 1:
            self.world.clock.later(_WEBHOOK_S, self._post_again)

    def _take(self, edge: "Edge", search: Search, lease: "Lease | None") -> None:
        heeded = edge is self.edge and not self._answered
        if lease is None and not search.hopeful:
            if heeded:
                self.give_up("turned away")
            return
        call = edge.calls[search.call_sid] = Call(edge, self, search, lease)
        call.begin()
        if heeded:
            self.call, self._answered = call, True
            self.connect()

    # Another edge

    def ask_another(self) -> None:
        """The edge is gone, or says so: the carrier asks another one what follows."""
        others = [one for one in self.world.edges if one.takes_calls]
        others = [one for one in others if one is not self.edge]
        if self.over or not others:
            self._end("edge lost")
            return
        self.edge, self.call = others[0], None
        edge = self.edge
        self.world.note("rescue", self.script.call_sid, edge.name)
        sid, rescued = self.script.call_sid, functools.partial(self._rescued, edge)
        edge.run(Rescue(edge, sid, rescued).start)

    def _rescued(
        self,
        edge: "Edge",
        search: Search | None,
        lease: "Lease | None",
        kept: KeptCall | None,
    ) -> None:
        if search is None or kept is None or self.over:
            if lease is not None:
                edge.placement.release(lease)
            self.give_up("nobody knows")
            return
        if lease is not None:
            self._go_on(edge, search, kept, lease)
            return
        go_on = functools.partial(self._go_on, edge, search, kept)
        edge.placement.warm(search, go_on)

    def _go_on(
        self, edge: "Edge", search: Search, kept: KeptCall, lease: "Lease | None"
    ) -> None:
        if lease is None and not search.hopeful:
            self.give_up("nowhere to go")
            return
        late = edge.calls.get(search.call_sid)
        if late is not None:  # what it answered was not heeded
            late.feed(ChannelClosed(CloseReason.STALE_EPOCH))
        self.rescued, self.kept_session = True, lease is not None and kept.here
        self.call = call = Call(edge, self, search, lease)
        edge.calls[search.call_sid] = call
        call.begin()
        call.resume(kept, streams=self._stream + 1)
        self.position = kept.caller_position  # what nobody heard is said again
        self.connect()

    def _post_again(self) -> None:
        """The first edge has not answered: the other one may."""
        others = [one for one in self.world.edges if one is not self.edge]
        if self._answered:
            return
        if not self.over and others:
            self.edge = others[0]
            self._post(self.edge, epoch=2)
        elif not self.edge.alive:
            self._end("no answer")

    def connect(self) -> None:
        """TwiML says to stream: the Media Stream comes soon."""
        delay_s = self.world.rng.uniform(0.1, 0.4)
        self.world.clock.later(delay_s, self._start_stream)

    def _start_stream(self) -> None:
        call = self.call
        if self.over or call is None or call.edge is not self.edge:
            return
        self._stream += 1
        self.streaming = True
        self._queue_ends_at = self.world.clock.now
        self.edge.run(call.on_stream_started)
        self._speak(self._stream)

    def _speak(self, stream: int) -> None:
        """One frame of the caller."""
        call = self.call
        if stream != self._stream or not self.streaming or call is None:
            return
        if self.position >= self.script.length:
            self._hang_up(call)
            return
        audio = self.script.audio(self.position, FRAME_BYTES)
        self.position += FRAME_BYTES
        self.edge.run(lambda: call.on_media(audio))
        self.world.clock.later(FRAME_S, lambda: self._speak(stream))

    def _hang_up(self, call: Call) -> None:
        self._end("hung up")
        self.edge.run(lambda: call.feed(StreamStopped()))

    def break_stream(self) -> None:
        """The Media Stream is lost; the carrier asks what to do."""
        if self.streaming:
            self._stop()
            self._ask()

    # What the edge does with its stream

    def play(self, audio: bytes) -> None:
        now = self.world.clock.now
        self._queue_ends_at = max(self._queue_ends_at, now) + len(audio) / BYTES_PER_S
        session = int.from_bytes(audio[:2])
        self.heard.append((now, session, len(audio)))
        self.world.checker.on_heard(self, session)

    def mark(self, name: str) -> None:
        delay_s = max(self._queue_ends_at - self.world.clock.now, 0.0) + _WAY_S
        self._echo_later(name, delay_s)

    def clear(self) -> None:
        self._queue_ends_at = self.world.clock.now
        marks, self._marks = self._marks, []
        for name, timer in marks:
            if timer.act is not None:
                timer.cancel()
                self._echo_later(name, _WAY_S)

    def _echo_later(self, name: str, delay_s: float) -> None:
        call, stream = self.call, self._stream

        def echo() -> None:
            if call is not None and self.streaming and stream == self._stream:
                self.edge.run(lambda: call.line.on_mark(name))

        self._marks = [one for one in self._marks if one[1].act is not None]
        self._marks.append((name, self.world.clock.later(delay_s, echo)))

    def on_stream_closed(self) -> None:
        """The edge closed the stream."""
        if self.streaming:
            self._stop()
            self._ask()

    def on_call_ended(self, call: Call, reason: CloseReason) -> None:
        """The edge is done with the call."""
        self.world.note("ended", self.script.call_sid, reason.value, self.outcome)
        if call is self.call and not self.over and not self.streaming:
            self._end(reason.value)

    def on_edge_lost(self, edge: "Edge") -> None:
        """The edge is gone."""
        if edge is self.edge and not self.over:
            self._stop()
            self.call = None
            self.world.clock.later(self.world.rng.uniform(0.1, 1.0), self.ask_another)

    def give_up(self, outcome: str) -> None:
        """TwiML says the last words."""
        if not self.over:
            self._end(outcome)

    def _ask(self) -> None:
        """Ask the action URL."""
        call = self.call
        if call is not None:
            ask = call.on_action
            self.world.clock.later(2 * _WAY_S, lambda: self.edge.run(ask))

    def _stop(self) -> None:
        self.streaming = False
        for _, timer in self._marks:
            timer.cancel()
        self._marks = []

    def _end(self, outcome: str) -> None:
        self._stop()
        self.outcome = outcome
        self.world.note("over", self.script.call_sid, outcome)
        call = self.call
        if call is not None and outcome != "hung up":
            self.edge.run(lambda: call.feed(CallCompleted()))
