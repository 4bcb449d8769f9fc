"""When a scripted session does what: events in order, none before it is due."""

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from lab.realtime_events import Json

__all__ = ["Action", "CloseSocket", "Ids", "RealtimeLatency", "SendText", "Timeline"]

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

Step = Callable[[float], None]
Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class RealtimeLatency:
    """How long the stand-in takes, as spans (s) to draw from.

    Attributes:
        connect_s: From the upgrade request to ``session.created``.
        session_update_s: From ``session.update`` to ``session.updated``.
        first_audio_s: From a committed turn or ``response.create`` to the first audio.
        transcription_s: From a committed turn to its transcript.
        audio_speed: How much faster than real time audio is sent.
    """

    connect_s: Span = (0.350, 0.500)
    session_update_s: Span = (0.020, 0.040)
    first_audio_s: Span = (0.200, 0.280)
    transcription_s: Span = (0.250, 0.600)
    audio_speed: float = 4.0

    @classmethod
    def none(cls) -> "RealtimeLatency":
        """Return no latency at all, for tests."""
        now = (0.0, 0.0)
        return cls(now, now, now, now, math.inf)


@dataclass(frozen=True, slots=True)
class SendText:
    """Send *text* as one WebSocket message."""

    text: bytes


@dataclass(frozen=True, slots=True)
class CloseSocket:
    """Close the WebSocket after everything sent before."""

    code: int
    reason: str


Action = SendText | CloseSocket


class Ids:
    """Makes identifiers that look like the API's, from a seeded source."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def make(self, prefix: str) -> str:
        """Return a new identifier such as ``item_C3f...``, at most 32 characters."""
        length = min(21, 31 - len(prefix))
        return f"{prefix}_{''.join(self._rng.choices(_ALPHABET, k=length))}"


class Timeline:
    """One session's outgoing events and timed steps.

    Events leave in the order they were sent in: one that is held back holds back
    all after it, as a single-minded server would.
    """

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._steps: list[tuple[float, int, Step]] = []
        self._count = 0
        self._floor = -math.inf
        self._actions: list[Action] = []
        self.closed = False

    def send(self, event: Json, *, now: float, delay_s: float = 0.0) -> float:
        """Send *event* after *delay_s*; return when (s, monotonic) it leaves."""
        event = {"event_id": self._ids.make("event"), **event}
        return self._act(SendText(msgspec.json.encode(event)), now + delay_s, now)

    def send_raw(self, text: bytes, *, now: float) -> None:
        """Send *text* as it is, however wrong."""
        self._act(SendText(text), now, now)

    def close(self, code: int, reason: str, *, now: float) -> None:
        """Close the socket after everything sent so far; nothing is sent any more."""
        self._act(CloseSocket(code, reason), now, now)
        self.closed = True

    def fall_silent(self) -> None:
        """Send nothing any more, not even an end; what is due is forgotten."""
        self._steps.clear()
        self.closed = True

    def at(self, due: float, step: Step) -> None:
        """Do *step* at *due* (s, monotonic), unless closed by then."""
        self._push(due, lambda now: None if self.closed else step(now))

    def next_deadline(self) -> float | None:
        """Return when the next step is due."""
        return self._steps[0][0] if self._steps else None

    def run(self, *, now: float) -> tuple[Action, ...]:
        """Do what is due and return what it comes to."""
        while self._steps and self._steps[0][0] <= now:
            _, _, step = heapq.heappop(self._steps)
            step(now)
        actions = tuple(self._actions)
        self._actions.clear()
        return actions

    def _push(self, due: float, step: Step) -> None:
        self._count += 1
        heapq.heappush(self._steps, (due, self._count, step))

    def _act(self, action: Action, due: float, now: float) -> float:
        if self.closed:
            return now
        self._floor = max(due, self._floor)
        if self._floor <= now:
            self._actions.append(action)
        else:
            self._push(self._floor, lambda _: self._actions.append(action))
        return self._floor
