"""What was said in a call, by both sides and as heard: it outlives the agent."""

import itertools
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec.structs import replace

from backhaul.core.checkpoint import (
    MAX_CHECKPOINT_BYTES,
    MAX_ITEMS,
    Called,
    CallerSaid,
    Checkpoint,
    Item,
    ModelSaid,
    Noted,
    Saying,
)
from region_agent.core.playback import Utterance

__all__ = ["MAX_TEXT_BYTES", "UNCERTAIN", "Transcript"]

MAX_TEXT_BYTES: Final = 8 * 1024
"""Longest text of one item that is kept (bytes of UTF-8), what a tool gave included."""
UNCERTAIN: Final = '{"error":"the line broke, so whether it was done is not known"}'
"""Output of a call that is too long to be kept, hence cannot be made again."""

_MAX_OPEN_BYTES: Final = 32 * 1024
"""Most that the calls without output may take together, packed."""
_REST_BYTES: Final = 1024
"""Of a checkpoint, all but its items."""
_MAX_NAME_BYTES: Final = 256

_packed = msgspec.msgpack.Encoder().encode


@dataclass(slots=True, eq=False)
class _Turn:
    """A turn of the caller."""

    item_id: str
    position: int
    """Where it ends in the caller's audio."""
    pending: bool = True
    """Whether its text may still come."""
    said: CallerSaid | None = None
    """None while pending, or when nothing was said."""


@dataclass(slots=True, eq=False)
class _Voice:
    """A reply or a phrase."""

    utterance: Utterance
    cut: bool
    """Whether it lacks its end because an agent was lost."""


_Entry = _Turn | _Voice | Item


class Transcript:
    """Everything in the order in which it began, bounded; the oldest gives way.

    A turn of the caller covers their audio up to its end, and silence behind it. One
    whose text is not known yet covers nothing, so that the next agent hears it again,
    unless something came of it already: then it is kept without words.

    Attributes:
        version: Grows with everything worth a checkpoint.
        errand: The call of a tool for which the caller is away; empty for none.
    """

    def __init__(self) -> None:
        self.version = 0
        self.errand = ""
        self._entries: list[_Entry] = []
        self._covered = 0

    @property
    def awaits_words(self) -> bool:
        """Whether the caller's last turn has not been written down yet."""
        turns = (one for one in reversed(self._entries) if isinstance(one, _Turn))
        return any(turn.pending for turn in itertools.islice(turns, 1))

    def resume(self, kept: Checkpoint) -> None:
        """Begin where another agent left off; its items are added one by one."""
        self.version = kept.version + 1
        self.errand = kept.errand
        self._covered = kept.caller_position

    def grew(self) -> None:
        """Take note that something that is part of it has changed."""
        self.version += 1

    def add(self, item: Item) -> None:
        """Add something as it is."""
        self._entries.append(item)
        self.grew()

    def voice(self, utterance: Utterance, *, cut: bool = False) -> None:
        """Add what the voice begins to say; *cut*: its end was lost with an agent."""
        self._entries.append(_Voice(utterance, cut))
        if utterance.words:
            self.grew()

    def turn(self, item_id: str, position: int) -> None:
        """The caller has finished a turn, which ends at *position* of their audio.

        That is worth nothing until there is more to be told of it.
        """
        self._entries.append(_Turn(item_id, position))

    def noise(self, position: int) -> None:
        """The caller made a sound up to *position*, but said nothing."""
        self._entries.append(_Turn("", position, pending=False))

    def caller_said(self, item_id: str, text: str | None) -> None:
        """The text of a turn is known; None: it never will be."""
        for entry in reversed(self._entries):
            if isinstance(entry, _Turn) and entry.pending and entry.item_id == item_id:
                entry.pending = False
                if text is None or text.strip():
                    entry.said = CallerSaid(text or "")
                self.grew()
                return

    def answered(self, call_id: str, output: str) -> None:
        """A function that was called gave *output*."""
        for index, entry in enumerate(self._entries):
            if isinstance(entry, Called) and entry.call_id == call_id:
                self._entries[index] = replace(entry, output=output)
                self.grew()
                return

    def silent(self, position: int) -> bool:
        """The caller said nothing but in turns up to *position*.

        Tell whether all before it is covered: no turn is to be heard again.
        """
        if _first_uncovered(self._entries) < len(self._entries):
            return False
        self._covered = max(self._covered, position)
        return True

    def checkpoint(self, *, elapsed_s: float) -> Checkpoint:
        """Return what the next agent must know, *elapsed_s* (s) after the call began.

        It takes at most MAX_CHECKPOINT_BYTES, packed.
        """
        return Checkpoint(
            self.version,
            self._fitting(self._cover()),
            caller_position=self._covered,
            elapsed_s=elapsed_s,
            errand=self.errand,
        )

    def _cover(self) -> list[tuple[_Entry, Item]]:
        """Return what is to be kept, and take note of how far that covers."""
        self._entries = [one for one in map(_settled, self._entries) if one is not None]
        kept: list[tuple[_Entry, Item]] = []
        silent: list[_Entry] = []
        for entry in self._entries[: _first_uncovered(self._entries)]:
            item = _item(entry)
            if isinstance(entry, _Turn):
                self._covered = max(self._covered, entry.position)
                if entry.pending:
                    item = CallerSaid()
                elif item is None:
                    silent.append(entry)
            if item is not None:
                kept.append((entry, item))
        self._forget(silent)
        return kept

    def _fitting(self, kept: list[tuple[_Entry, Item]]) -> tuple[Item, ...]:
        """Return as much of the end of *kept* as fits; what does not is forgotten."""
        sized = _sized([item for _, item in kept])
        left = MAX_CHECKPOINT_BYTES - _REST_BYTES
        left -= sum(size for item, size in sized if _is_open(item))
        room = MAX_ITEMS - sum(_is_open(item) for item, _ in sized)
        fitting: list[Item] = []
        forgotten: list[_Entry] = []
        for (entry, _), (item, size) in zip(
            reversed(kept), reversed(sized), strict=True
        ):
            if not _is_open(item):
                left, room = left - size, room - 1
                if left < 0 or room < 0:
                    left = -1  # nor does anything that is older
                    forgotten.append(entry)
                    continue
            fitting.append(item)
        self._forget(forgotten)
        return tuple(reversed(fitting))

    def _forget(self, entries: list[_Entry]) -> None:
        if entries:
            gone = {id(entry) for entry in entries}
            self._entries = [one for one in self._entries if id(one) not in gone]


def _first_uncovered(entries: list[_Entry]) -> int:
    """Return the index of the first turn that is better heard again than kept."""
    first = len(entries)
    for index in reversed(range(len(entries))):
        entry = entries[index]
        if isinstance(entry, _Turn):
            if entry.pending:
                first = index
        elif isinstance(_item(entry), ModelSaid | Called | Noted):
            break
    return first


def _settled(entry: _Entry) -> _Entry | None:
    """Return *entry* without what it needs no more; None when nothing is left of it."""
    if not isinstance(entry, _Voice) or entry.cut:
        return entry
    settled = entry.utterance.heard_bytes is not None and entry.utterance.text
    return _of_voice(entry) if settled else entry


def _item(entry: _Entry) -> Item | None:
    match entry:
        case _Turn():
            return entry.said
        case _Voice():
            return _of_voice(entry)
        case _:
            return entry


def _of_voice(voice: _Voice) -> Item | None:
    """Return what is known of an utterance; None while that is nothing."""
    one = voice.utterance
    if one.heard_bytes is not None and not (voice.cut and one.heard_whole):
        if one.heard_whole:
            return ModelSaid(one.words) if one.words else None
        heard = one.words_until(one.heard_bytes) if one.heard_ms else ""
        return ModelSaid(heard, heard_whole=False) if heard else None
    if not one.words or not one.forwarded_bytes:
        return None
    if one.interrupted:  # how much was heard is being asked
        words = one.words_until(one.forwarded_bytes)
        return Saying(words, one.start, one.end, whole=True)
    end = one.start + one.generated_bytes
    return Saying(one.words, one.start, end, whole=one.finished and not voice.cut)


def _sized(items: list[Item]) -> list[tuple[Item, int]]:
    """Return *items* within their own bounds, each with its size (bytes)."""
    room = _MAX_OPEN_BYTES
    sized: list[tuple[Item, int]] = []
    for item in items:
        bounded = item
        if _is_open(item):
            size = len(_packed(item))
            bounded = item if size <= room else _uncertain(item)
            room -= size if size <= room else 0
        else:
            bounded = _shortened(item)
        sized.append((bounded, len(_packed(bounded))))
    return sized


def _is_open(item: Item) -> bool:
    return isinstance(item, Called) and item.output is None


def _uncertain(item: Item) -> Item:
    """Return a call that is too long to be made again, as one that was answered."""
    return _shortened(replace(item, output=UNCERTAIN))


def _shortened(item: Item) -> Item:
    match item:
        case Called(call_id, name, arguments, output, key):
            if len(arguments.encode()) > MAX_TEXT_BYTES:
                arguments = "{}"  # half of them would be no JSON
            short = (_cut(text, _MAX_NAME_BYTES) for text in (call_id, name, key))
            call_id, name, key = short
            output = None if output is None else _cut(output, MAX_TEXT_BYTES)
            return Called(call_id, name, arguments, output, key)
        case _:
            text = _cut(item.text, MAX_TEXT_BYTES)
            return item if text is item.text else replace(item, text=text)


def _cut(text: str, size: int) -> str:
    """Return as much of *text* as *size* bytes of UTF-8 hold."""
    if len(text) * 4 <= size:
        return text
    return text.encode()[:size].decode(errors="ignore")
