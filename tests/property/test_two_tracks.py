"""Both tracks of a recording, held against a plain list of what is to be heard."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from region_agent.core.two_tracks import TwoTracks

SIZES = st.integers(0, 7)


class Recording(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.tracks = TwoTracks(now=self.now)
        self.position = 0
        self.heard = 0
        self.waiting: list[tuple[int, int]] = []
        """Position and code of every byte that is still to be recorded."""
        self.samples = 0

    @rule(size=SIZES)
    def say(self, size: int) -> None:
        codes = [(self.position + n) % 255 for n in range(size)]
        self.tracks.voice(bytes(codes))
        self.waiting += [(self.position + n, code) for n, code in enumerate(codes)]
        self.position += size

    @rule(size=SIZES)
    def listen(self, size: int) -> None:
        both = self.tracks.caller(b"\x05" * size)
        self.samples += size
        assert both[0::2] == b"\x05" * size
        assert both[1::2] == self.next(size)

    @rule(data=st.data())
    def clear(self, data: st.DataObject) -> None:
        position = data.draw(st.integers(self.heard, self.position))
        self.heard = data.draw(st.integers(self.heard, position))
        self.tracks.cleared(position=position, heard=self.heard)
        self.waiting = [
            (at, code) for at, code in self.waiting if not self.heard <= at < position
        ]
        self.heard = position

    @rule(pause_s=st.floats(0, 0.99))
    def be_late(self, pause_s: float) -> None:
        self.now += pause_s
        assert self.tracks.gap(now=self.now) == (b"", 0)

    @precondition(lambda self: self.samples < 1000)
    @rule(pause_s=st.floats(1.5, 600))
    def be_gone(self, pause_s: float) -> None:
        self.now += pause_s
        both, silent = self.tracks.gap(now=self.now)
        voiced = len(both) // 2
        assert both[0::2] == b"\xff" * voiced
        assert both[1::2] == self.next(voiced)
        assert not self.waiting
        self.samples += voiced + silent
        assert self.samples == round((self.now - 100.0) * 8000)

    def next(self, size: int) -> bytes:
        taken, self.waiting = self.waiting[:size], self.waiting[size:]
        return bytes(code for _, code in taken).ljust(size, b"\xff")


TestRecording = Recording.TestCase
