"""The caller's end of one call: plays to it, and tells the agent what was heard."""

from collections.abc import Callable
from typing import Final, Protocol

from backhaul.clock import monotonic_s
from backhaul.core.checkpoint import VoiceProgress
from backhaul.core.messages import Cleared, Digit, Flow, Message, Played
from edge.core.digit_gate import DigitGate, DigitOutcome
from edge.core.playout import Heard, Playout
from edge.metrics import EdgeMetrics

__all__ = ["Line", "StreamSink"]

_PLAYED_EVERY_S: Final = 1.0
"""Between two reports of what was played, but for the one that all was."""


class StreamSink(Protocol):
    """Where a call's audio for the caller goes: its Media Stream."""

    def play(self, audio: bytes) -> None:
        """Send raw mu-law to the caller."""
        ...

    def mark(self, name: str) -> None:
        """Ask for *name* to come back when all that was sent before was played."""
        ...

    def clear(self) -> None:
        """Drop what the caller has not heard yet."""
        ...

    def end(self) -> None:
        """Close the stream politely."""
        ...


class Line:
    """The caller's end of one call, through all of its Media Streams.

    Attributes:
        model_bytes: Audio given to the caller (bytes of mu-law).
        clears: How often the agent had it dropped.
    """

    def __init__(
        self,
        tell: Callable[[Message], None],
        metrics: EdgeMetrics,
        *,
        on_drained: Callable[[], None],
    ) -> None:
        """Make it without a stream.

        Args:
            tell: Says something to the agent if there is one.
            metrics: Where marks and keys are counted.
            on_drained: Hears when everything sent so far was played.
        """
        self.model_bytes = 0
        self.clears = 0
        self._tell = tell
        self._on_drained = on_drained
        self._metrics = metrics
        self._sink: StreamSink | None = None
        self._playout = Playout()
        self._cut = Heard(0, 0)
        """What was dropped last."""
        self._gate = DigitGate()
        self._paused = False
        self._reported_at = 0.0
        self._attached_at = 0.0

    def resume(self, position: int) -> None:
        """Begin at *position*, up to which another edge has given the voice."""
        self._playout.resume(position)

    def is_on(self, sink: StreamSink) -> bool:
        """Tell whether *sink* is the present Media Stream."""
        return self._sink is sink

    def attach(self, sink: StreamSink) -> None:
        """Play to *sink* from now on; the agent is told what was lost before it."""
        self._sink = sink
        self._attached_at = now = monotonic_s()
        before = self._playout.restart(now=now)
        if before.cut:
            self._cut = before
            self._tell(Cleared(before.position, before.heard))
        self.on_flow(paused=False)

    def detach(self) -> None:
        """Close the Media Stream, if there is one."""
        sink, self._sink = self._sink, None
        if sink is not None:
            self._playout.stop(now=monotonic_s())
            sink.end()

    @property
    def dry_at(self) -> float:
        """When the last of what was sent is heard (monotonic s), if nothing follows."""
        return max(self._playout.dry_at, self._attached_at)

    def progress(self) -> VoiceProgress:
        """Return how far the voice has come, for the next agent."""
        heard = self._playout.position(now=monotonic_s())
        cut = self._cut
        return VoiceProgress(self._playout.given, heard, cut.position, cut.heard)

    def open(self) -> None:
        """A channel was opened."""
        played = self._playout.played
        if played:
            self._tell(Played(played))  # a greeting, before there was whom to tell
        if self._paused:
            self._tell(Flow(paused=True))

    def play(self, audio: bytes) -> None:
        """Give raw mu-law to the caller; while there is no stream it is lost."""
        sink, playout = self._sink, self._playout
        self.model_bytes += len(audio)
        playout.sent(len(audio), now=monotonic_s())
        if sink is not None:
            sink.play(audio)
            self._mark(sink)

    def play_tone(self, audio: bytes) -> None:
        """Give the caller something that is no part of the conversation."""
        if self._sink is not None:
            self._sink.play(audio)

    def drop_tone(self) -> None:
        """Drop what is left of it. Nothing else is queued: it plays in silence only."""
        if self._sink is not None:
            self._sink.clear()

    def clear(self) -> None:
        """Drop what the caller has not heard yet, and tell the agent what that was."""
        self.clears += 1
        if self._sink is not None:
            self._sink.clear()
        heard = self._playout.clear(now=monotonic_s())
        if heard.cut:
            self._cut = heard
        self._tell(Cleared(heard.position, heard.heard))

    def on_mark(self, name: str) -> None:
        """A mark came back from the Media Stream."""
        now = monotonic_s()
        position = self._playout.echoed(name, now=now)
        if position is None:
            self._metrics.stale_marks.inc()
            return
        drained = self._playout.drained
        if drained or now - self._reported_at >= _PLAYED_EVERY_S:
            self._reported_at = now
            self._tell(Played(position))
        if self._sink is not None:
            self._mark(self._sink)
        if drained:
            self._on_drained()

    def on_digit(self, digit: str) -> None:
        """The caller pressed a key."""
        outcome = self._gate.check(digit, now=monotonic_s())
        self._metrics.digits.labels(outcome=outcome.value).inc()
        if outcome is DigitOutcome.DELIVERED:
            self._tell(Digit(digit))

    def on_flow(self, *, paused: bool) -> None:
        """The Media Stream takes no more for now, or takes it again."""
        if paused is not self._paused:
            self._paused = paused
            self._tell(Flow(paused=paused))

    def _mark(self, sink: StreamSink) -> None:
        if self._playout.mark_due:
            sink.mark(self._playout.mark())
