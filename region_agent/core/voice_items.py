"""The voice, item by item: what the conversation keeps of it is what was heard."""

from collections import OrderedDict
from typing import Final, TypeVar

from region_agent.core.call_events import Speaker
from region_agent.core.conversation_events import (
    ConversationAction,
    Interrupted,
    SendAudio,
    SendEvent,
    Spoken,
)
from region_agent.core.playback import Playback, PlaybackWatch, Utterance
from region_agent.core.realtime_protocol import (
    assistant_said,
    delete_item,
    truncate_item,
)
from region_agent.core.transcript import Transcript

__all__ = ["VoiceItems"]

_REMEMBERED: Final = 64
"""Items and responses of which something may still come."""
_PROGRESS_CHARS: Final = 40
"""Text of a reply that is worth another checkpoint: about three seconds of speech."""

_Actions = tuple[ConversationAction, ...]

ValueT = TypeVar("ValueT")


class VoiceItems:
    """Every utterance from its first byte until it is known how much was heard."""

    def __init__(
        self, playback: Playback, transcript: Transcript | None = None
    ) -> None:
        """Keep what is heard in *transcript*; None: nowhere."""
        self._playback = playback
        self._transcript = transcript or Transcript()
        self._watch = PlaybackWatch(playback)
        self._items: OrderedDict[str, Utterance] = OrderedDict()
        self._spoke: OrderedDict[str, dict[str, None]] = OrderedDict()
        """By response, the items of which something was forwarded or held."""
        self._unheard: OrderedDict[str, dict[str, None]] = OrderedDict()
        """By response, the items of which nothing was forwarded."""
        self._written: OrderedDict[str, str] = OrderedDict()
        """Text of items whose audio has not begun."""
        self._phrases = 0

    def audio(
        self, response_id: str, item_id: str, audio: bytes, *, forwarding: str
    ) -> bool:
        """Take audio of the model; return whether to forward it now."""
        utterance = self._items.get(item_id)
        cut = utterance is not None and utterance.interrupted
        if not response_id or response_id != forwarding or cut:
            if item_id and utterance is None:
                _bounded(self._unheard, response_id, {})[item_id] = None
            if utterance is not None:
                utterance.generated_bytes += len(audio)
            return False
        if utterance is None:
            utterance = self._begin(item_id)
            _bounded(self._items, item_id, utterance)
            _bounded(self._spoke, response_id, {})[item_id] = None
        return self._playback.offer(utterance, audio)

    def _begin(self, item_id: str) -> Utterance:
        utterance = self._playback.begin(Utterance(item_id))
        utterance.written = self._written.pop(item_id, "")
        self._transcript.voice(utterance)
        return utterance

    def wrote(self, item_id: str, text: str) -> bool:
        """Take more text of an item; tell whether that is worth a checkpoint."""
        utterance = self._items.get(item_id)
        if utterance is None:
            before = _bounded(self._written, item_id, "")
            self._written[item_id] = before + text
            return False
        before = utterance.written
        utterance.written += text
        step = len(utterance.written) // _PROGRESS_CHARS
        if len(before) // _PROGRESS_CHARS == step:
            return False
        self._transcript.grew()
        return True

    def spoke(self, response_id: str) -> bool:
        """Tell whether anything of a response was for the caller to hear."""
        return response_id in self._spoke

    def finish(self, item_id: str) -> _Actions:
        """All audio of an item has come."""
        utterance = self._items.get(item_id)
        if utterance is None or utterance.interrupted:
            return ()
        utterance.finished = True
        return self.played(self._playback.played)

    def response_ended(self, response_id: str) -> _Actions:
        """No more audio comes; remove what was generated and never forwarded."""
        spoken = self._spoke.pop(response_id, {})
        settled = tuple(done for item_id in spoken for done in self.finish(item_id))
        unheard = self._unheard.pop(response_id, {})
        for item_id in unheard:
            _bounded(self._items, item_id, Utterance(item_id, interrupted=True))
        return (*settled, *(SendEvent(delete_item(item_id)) for item_id in unheard))

    def text(self, item_id: str, text: str) -> _Actions:
        """The text of an item is known."""
        utterance = self._items.get(item_id)
        if utterance is None:
            unheard = Spoken(
                Speaker.MODEL, item_id, text, heard_whole=False, heard_ms=0
            )
            return (unheard,)
        utterance.text, utterance.told = text, False
        self._transcript.grew()
        return self._report(utterance)

    def played_elsewhere(self, text: str, audio_bytes: int) -> _Actions:
        """The edge plays *text* by itself, before anything of ours."""
        utterance = self._begin_phrase(text, tell_model=True)
        self._playback.offer(utterance, bytes(audio_bytes))
        return (SendEvent(assistant_said(text, utterance.item_id)),)

    def say(self, text: str, audio: bytes, *, tell_model: bool) -> _Actions:
        """Play a fixed phrase."""
        utterance = self._begin_phrase(text, tell_model=tell_model)
        told: _Actions = ()
        if tell_model:
            told = (SendEvent(assistant_said(text, utterance.item_id)),)
        now = self._playback.offer(utterance, audio)
        return (*told, SendAudio(audio)) if now else told

    def go_on(self, text: str, *, start: int, size: int) -> tuple[Utterance, _Actions]:
        """Another agent forwarded *text*, which the caller may still be hearing.

        Args:
            text: What it says.
            start: Its position.
            size: How much audio of it the edge has got (bytes).
        """
        utterance = self._phrase(text, tell_model=True)
        utterance.start = start
        utterance.forwarded_bytes = utterance.generated_bytes = size
        if utterance.end > self._playback.played:
            self._playback.adopt(utterance)
        else:
            utterance.heard_bytes = size
        told = SendEvent(assistant_said(text, utterance.item_id))
        return utterance, (told, *self._report(utterance))

    def played(self, position: int) -> _Actions:
        """Everything up to *position* was played."""
        return self._settle(self._playback.on_played(position))

    def interrupt(self) -> _Actions:
        """Forward nothing more of what has begun; `cleared` tells the rest."""
        audible = self._playback.audible
        self._playback.interrupt()
        return () if audible else self.cleared(*(2 * (self._playback.forwarded,)))

    def cleared(self, position: int, heard: int) -> _Actions:
        """The carrier dropped *heard* to *position*."""
        settled = self._playback.on_cleared(position, heard)
        # A line that was lost drops audio too; that is no interruption.
        cut = [one for one in settled if one.interrupted and not one.heard_whole]
        report: _Actions = (Interrupted(cut[0].heard_ms),) if cut else ()
        return (*report, *self._settle(settled))

    def lose(self) -> tuple[tuple[Utterance, ...], _Actions]:
        """What was not heard by now is lost on its way.

        Returns:
            What lacks its end by that, and how the model learns of it.
        """
        playback = self._playback
        heard = playback.played
        playback.interrupt()
        settled = playback.on_cleared(playback.forwarded, heard)
        cut = (one for one in settled if one.item_id and not one.heard_whole)
        return tuple(cut), self._settle(settled)

    def observe(self, *, now: float) -> None:
        """Take note of how far the voice is; call it after every event."""
        self._watch.observe(now=now)

    def next_deadline(self) -> float | None:
        """Return when the carrier should have told what it has played."""
        return self._watch.next_deadline()

    def expire(self, *, now: float) -> _Actions:
        """Take all that went out for heard when the carrier has told nothing."""
        if not self._watch.overdue(now=now):
            return ()
        return self.cleared(*(2 * (self._playback.forwarded,)))

    def abandon(self) -> _Actions:
        """The call is over: report what is unsettled."""
        settled = self._playback.abandon()
        return tuple(report for one in settled for report in self._report(one))

    def _begin_phrase(self, text: str, *, tell_model: bool) -> Utterance:
        utterance = self._playback.begin(self._phrase(text, tell_model=tell_model))
        if tell_model:
            self._transcript.voice(utterance)
        return utterance

    def _phrase(self, text: str, *, tell_model: bool) -> Utterance:
        self._phrases += 1
        item_id = f"phrase_{self._phrases}" if tell_model else ""
        return Utterance(item_id, fixed=True, text=text, finished=True)

    def _settle(self, settled: tuple[Utterance, ...]) -> _Actions:
        actions: list[ConversationAction] = []
        if settled:
            self._transcript.grew()
        for utterance in settled:
            if not utterance.heard_whole:
                actions += self._correct(utterance)
            actions += self._report(utterance)
        return tuple(actions)

    def _correct(self, utterance: Utterance) -> _Actions:
        """Make the conversation remember only what was heard."""
        item_id, heard_ms = utterance.item_id, utterance.heard_ms
        if not item_id:
            return ()
        if not heard_ms:
            return (SendEvent(delete_item(item_id)),)
        if not utterance.fixed:
            return (SendEvent(truncate_item(item_id, heard_ms)),)
        # The item of a phrase holds text only, which cannot be truncated.
        heard = utterance.words_until(utterance.heard_bytes or 0)
        replaced = assistant_said(heard, f"{item_id}_cut", after=item_id)
        return (SendEvent(replaced), SendEvent(delete_item(item_id)))

    def _report(self, utterance: Utterance) -> _Actions:
        if utterance.heard_bytes is None or not utterance.text or utterance.told:
            return ()
        utterance.told = True
        return (
            Spoken(
                Speaker.MODEL,
                utterance.item_id,
                utterance.text,
                heard_whole=utterance.heard_whole,
                heard_ms=utterance.heard_ms,
            ),
        )


def _bounded(table: OrderedDict[str, ValueT], key: str, value: ValueT) -> ValueT:
    """Return what *table* has under *key*, by default *value*; the oldest give way."""
    value = table.setdefault(key, value)
    if len(table) > _REMEMBERED:
        table.popitem(last=False)
    return value
