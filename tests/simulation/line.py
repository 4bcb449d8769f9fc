"""The caller's end of one call: production's playback clock on a simulated stream."""

from typing import TYPE_CHECKING, Final

from backhaul.core.checkpoint import VoiceProgress
from backhaul.core.messages import Cleared, Message, Played
from edge.core.playout import Heard, Playout

if TYPE_CHECKING:
    from tests.simulation.call import Call

_PLAYED_EVERY_S: Final = 1.0


class Line:
    """The caller's end of one call; see `edge.line.Line`."""

    def __init__(self, call: "Call") -> None:
        self.playout = Playout()
        self._call = call
        self._cut = Heard(0, 0)
        self._attached = False
        self._reported_at = 0.0

    @property
    def _now(self) -> float:
        return self._call.edge.clock.now

    def attach(self) -> None:
        self._attached = True
        before = self.playout.restart(now=self._now)
        if before.cut:
            self._cut = before
            self._tell(Cleared(before.position, before.heard))

    def detach(self) -> None:
        if self._attached:
            self._attached = False
            self.playout.stop(now=self._now)
            self._call.carrier.on_stream_closed()

    def progress(self) -> VoiceProgress:
        heard = self.playout.position(now=self._now)
        cut = self._cut
        return VoiceProgress(self.playout.given, heard, cut.position, cut.heard)

    def play(self, audio: bytes) -> None:
        self.playout.sent(len(audio), now=self._now)
        if self._attached:
            self._call.carrier.play(audio)
            self._mark()

    def clear(self) -> None:
        if self._attached:
            self._call.carrier.clear()
        heard = self.playout.clear(now=self._now)
        if heard.cut:
            self._cut = heard
        self._tell(Cleared(heard.position, heard.heard))

    def on_mark(self, name: str) -> None:
        position = self.playout.echoed(name, now=self._now)
        if position is None:
            return
        if self.playout.drained or self._now - self._reported_at >= _PLAYED_EVERY_S:
            self._reported_at = self._now
            self._tell(Played(position))
        if self._attached:
            self._mark()

    def _mark(self) -> None:
        if self.playout.mark_due:
            self._call.carrier.mark(self.playout.mark())

    def _tell(self, message: Message) -> None:
        if self._call.channel is not None:
            self._call.channel.send(message)
