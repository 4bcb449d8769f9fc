"""The network: paths between edges and regions, links on them, channels on those.

A link delivers in order. What is sent while its path is blocked waits, as with any
transport that sends again, until the path is open or one end has given the link up.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from backhaul.core.close_reason import CloseReason
from backhaul.core.messages import (
    Checkpoint,
    Message,
    Open,
    decode_message,
    encode_message,
)
from tests.simulation.clock import Act, Clock, Process

if TYPE_CHECKING:
    from tests.simulation.agent import Agent
    from tests.simulation.bridge import Bridge
    from tests.simulation.call import Call
    from tests.simulation.edge import Edge

SILENT_S = 0.7
"""From the last sign of life until a link counts as silent."""
DEAD_S = 2.0
"""From the last sign of life until it is given up."""


class Path:
    """One way between an edge and a region."""

    def __init__(
        self, clock: Clock, delay_s: float, jitter: Callable[[], float]
    ) -> None:
        self.blocked = False
        self.delay_s = delay_s
        self._clock = clock
        self._jitter = jitter

    def takes_s(self) -> float:
        return self.delay_s * (1 + 0.2 * self._jitter())


class Way:
    """One direction of a link."""

    def __init__(self, clock: Clock, path: Path, to: Process) -> None:
        self._clock = clock
        self._path = path
        self._to = to
        self._arrives_at = 0.0
        self._held: list[Act] = []
        self.closed = False

    def send(self, act: Act) -> None:
        if self._path.blocked or self._held:
            self._held.append(act)
            return
        now = self._clock.now
        self._arrives_at = max(self._arrives_at, now + self._path.takes_s())
        self._clock.later(self._arrives_at - now, lambda: self._arrive(act))

    def release(self) -> None:
        """Send what waited, if the path is open again."""
        if self._path.blocked:
            return
        held, self._held = self._held, []
        for act in held:
            self.send(act)

    def _arrive(self, act: Act) -> None:
        self._to.run(lambda: self._deliver(act))

    def _deliver(self, act: Act) -> None:
        if not self.closed:
            act()


class Link:
    """One link between two processes."""

    def __init__(self, clock: Clock, edge: "Edge", agent: "Agent") -> None:
        self.edge = edge
        self.agent = agent
        self.out, self.back = edge.paths[agent.region]
        self.to_agent = Way(clock, self.out, agent)
        self.to_edge = Way(clock, self.back, edge)
        self.usable = True
        self.closed = False
        self.channels: list[Channel] = []
        self._clock = clock
        self._quiet_since: float | None = None

    @property
    def quiet(self) -> bool:
        """Whether the two cannot hear each other now."""
        return (
            self.out.blocked
            or self.back.blocked
            or not (self.edge.runs and self.agent.runs)
        )

    def look(self) -> None:
        """Something changed on its path, or at an end of it."""
        if self.closed:
            return
        self.to_agent.release()
        self.to_edge.release()
        if not self.quiet:
            self._quiet_since = None
            self._clock.later(2 * self.out.delay_s, self._hear)
        elif self._quiet_since is None:
            self._quiet_since = since = self._clock.now
            self._clock.later(SILENT_S, lambda: self._silent(since))
            self._clock.later(DEAD_S, lambda: self._dead(since))

    def break_off(self) -> None:
        """One end is killed: its system says so to the other, if it can."""
        self.look()
        if not (self.out.blocked or self.back.blocked):
            self._clock.later(self.out.delay_s, self.close)

    def close(self) -> None:
        """Both ends are done with it."""
        if self.closed:
            return
        self.closed = True
        self.usable = False
        self.to_agent.closed = self.to_edge.closed = True
        self.edge.run(lambda: self.edge.on_link_lost(self))
        self.agent.run(lambda: self.agent.on_link_lost(self))

    def _hear(self) -> None:
        if not self.closed and not self.quiet and not self.usable:
            self.usable = True
            self.edge.run(lambda: self.edge.on_link_heard(self))

    def _silent(self, since: float) -> None:
        if self._quiet_since != since or self.closed:
            return
        if self.edge.hung:  # it cannot tell yet
            self._clock.later(DEAD_S / 8, lambda: self._silent(since))
            return
        self.usable = False
        self.edge.run(lambda: self.edge.on_link_silent(self))

    def _dead(self, since: float) -> None:
        if self._quiet_since == since:
            self.close()


class Channel:
    """One call on a link; each end forgets it by itself."""

    def __init__(self, link: Link, call: "Call") -> None:
        self.link = link
        self.call: Call | None = call
        self.bridge: Bridge | None = None
        link.channels.append(self)

    # The edge's end

    def open(self, message: Open) -> None:
        agent, opening = self.link.agent, as_it_arrives(message)
        assert isinstance(opening, Open)
        self.link.to_agent.send(lambda: agent.on_channel_opened(self, opening))

    def send(self, message: Message) -> None:
        self.link.to_agent.send(lambda: self._at_agent(message))

    def send_audio(self, audio: bytes) -> None:
        self.link.to_agent.send(lambda: self._audio_at_agent(audio))

    def close(self, reason: CloseReason) -> None:
        """The edge is done with it."""
        self.call = None
        self.link.to_agent.send(lambda: self.closed_at_agent(reason))

    def closed_at_edge(self, reason: CloseReason) -> None:
        call, self.call = self.call, None
        if call is not None:
            call.on_channel_closed(reason)

    # The agent's end

    def tell(self, message: Message) -> None:
        arriving = as_it_arrives(message)
        self.link.to_edge.send(lambda: self._at_edge(arriving))

    def tell_audio(self, audio: bytes) -> None:
        self.link.to_edge.send(lambda: self._audio_at_edge(audio))

    def leave(self, reason: CloseReason) -> None:
        """The agent is done with it."""
        self.bridge = None
        self.link.to_edge.send(lambda: self.closed_at_edge(reason))

    def closed_at_agent(self, reason: CloseReason) -> None:
        bridge, self.bridge = self.bridge, None
        if bridge is not None:
            bridge.on_channel_closed(reason)

    def _at_agent(self, message: Message) -> None:
        if self.bridge is not None:
            self.bridge.on_message(message)

    def _audio_at_agent(self, audio: bytes) -> None:
        if self.bridge is not None:
            self.bridge.on_audio(audio)

    def _at_edge(self, message: Message) -> None:
        if self.call is not None:
            self.call.on_message(message)

    def _audio_at_edge(self, audio: bytes) -> None:
        if self.call is not None:
            self.call.on_audio(audio)


def as_it_arrives(message: Message) -> Message:
    """Return *message* as the other side decodes it; a large one is refused there."""
    if isinstance(message, Checkpoint | Open):
        return decode_message(encode_message(message))
    return message
