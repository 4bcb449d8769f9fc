"""Remembers the turns of the last conversations, for those who look at a call."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final

from backhaul.clock import monotonic_s, unix_s
from region_agent.core.turn_log import Turn

__all__ = ["ConversationBook", "ConversationNotes"]

_CONVERSATIONS_KEPT: Final = 200
_TURNS_KEPT: Final = 64
_TOOLS_KEPT: Final = 64


@dataclass(slots=True)
class ConversationNotes:
    """What happened in one conversation, and when; not a word of it."""

    epoch: int
    resumed: bool
    began_at: float = field(default_factory=monotonic_s)
    began_unix_s: float = field(default_factory=unix_s)
    turns: list[Turn] = field(default_factory=list[Turn])
    tools: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    ended_at: float | None = None
    end_reason: str = ""

    def turn(self, turn: Turn) -> None:
        """A turn has begun; it changes as it goes on."""
        if len(self.turns) < _TURNS_KEPT:
            self.turns.append(turn)

    def tool(self, name: str, outcome: str, *, duration_s: float) -> None:
        """A function has just given its result."""
        if len(self.tools) < _TOOLS_KEPT:
            ended_ms = self._ms(monotonic_s())
            started_ms = round(ended_ms - duration_s * 1000, 3)
            told = {"name": name, "outcome": outcome, "start_ms": started_ms}
            self.tools.append({**told, "end_ms": ended_ms})

    def ended(self, reason: str) -> None:
        """The conversation is over."""
        self.ended_at, self.end_reason = monotonic_s(), reason

    def row(self) -> dict[str, Any]:
        """Return it for people, in milliseconds after it began."""
        return {
            "epoch": self.epoch,
            "resumed": self.resumed,
            "began_unix_s": self.began_unix_s,
            "end_ms": self._ms(self.ended_at or monotonic_s()),
            "end_reason": self.end_reason,
            "turns": [self._turn(turn) for turn in self.turns if turn.eventful],
            "tools": self.tools,
        }

    def _turn(self, turn: Turn) -> dict[str, Any]:
        first_s = turn.first_audio_s
        return {
            "number": turn.number,
            "kind": turn.kind.value,
            "outcome": turn.outcome.value,
            "start_ms": self._ms(turn.began_at),
            "first_audio_ms": None if first_s is None else round(first_s * 1000, 3),
            "end_ms": self._ms(turn.last_at),
        }

    def _ms(self, at: float) -> float:
        return round((at - self.began_at) * 1000, 3)


class ConversationBook:
    """The last conversations, by CallSid; a call may have had several here."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int], ConversationNotes] = OrderedDict()

    def begin(self, call_sid: str, *, epoch: int, resumed: bool) -> ConversationNotes:
        """Return the notes of a conversation that begins now."""
        notes = ConversationNotes(epoch, resumed)
        self._kept[call_sid, epoch] = notes
        if len(self._kept) > _CONVERSATIONS_KEPT:
            self._kept.popitem(last=False)
        return notes

    def rows(self, call_sid: str) -> list[dict[str, Any]]:
        """Return all conversations of a call, for people."""
        return [
            notes.row() for (sid, _), notes in self._kept.items() if sid == call_sid
        ]
