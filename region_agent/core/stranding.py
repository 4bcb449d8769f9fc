"""What a conversation does while no edge has its call, and when one comes for it."""

from collections.abc import Sequence

from backhaul.core.profile import Profile
from region_agent.core.conversation_events import ConversationAction
from region_agent.core.playback import Utterance
from region_agent.core.realtime_protocol import continue_reply, say_exactly
from region_agent.core.speech import Speech
from region_agent.core.turns import CancelResponse

__all__ = ["Stranding"]

_Actions = tuple[ConversationAction, ...]


class Stranding:
    """The model says nothing to nobody; what a lost edge had not played is said again.

    The session stays as it is, so all that was said before is known.
    """

    def __init__(self, profile: Profile, speech: Speech) -> None:
        """Know whose voice it is, and what it says."""
        self._profile = profile
        self._speech = speech

    def lost(self) -> _Actions:
        """No edge has the call; it may be for a moment only."""
        self._speech.turns.stranded = True
        return ()

    def back(self, now: float) -> _Actions:
        """The edge has come back: nothing is lost."""
        turns = self._speech.turns
        turns.stranded = False
        return self._speech.obey(turns.expire(now=now))

    def reserved(self, now: float) -> _Actions:
        """Another edge announces itself: it knows nothing of what was sent before."""
        speech, turns = self._speech, self._speech.turns
        turns.stranded = True
        going = turns.forwarding
        cancelled: _Actions = ()
        if speech.items.spoke(going):  # else nobody misses anything of it
            turns.forwarding = ""
            cancelled = speech.obey((CancelResponse(going),))
        cut, corrected = speech.items.lose()
        speech.playback.pause(paused=True)
        again = _again(self._profile, cut)
        asked = () if again is None else speech.respond(now, again)
        return (*cancelled, *corrected, *asked)

    def taken(self, now: float) -> _Actions:
        """It has the call; what was held back may go out."""
        self._speech.playback.pause(paused=False)
        return (*self._speech.release(), *self.back(now))


def _again(profile: Profile, cut: Sequence[Utterance]) -> str | None:
    """Return instructions to say what the caller missed; None: that is nothing.

    Nothing but a new answer will do for words that were never written down.
    """
    if not cut:
        return None
    repeats = profile.after_failover == "repeat"
    if all(one.text for one in cut):
        missed = " ".join(_missed(one, repeats=repeats) for one in cut)
        return say_exactly(missed) if missed else None
    heard = cut[0].words_until(cut[0].heard_bytes or 0) if cut[0].heard_ms else ""
    return "" if repeats or not heard else continue_reply(profile, heard)


def _missed(one: Utterance, *, repeats: bool) -> str:
    if repeats or not one.heard_ms:
        return one.text
    heard = len(one.words_until(one.heard_bytes or 0).split())
    return " ".join(one.text.split()[heard:])
