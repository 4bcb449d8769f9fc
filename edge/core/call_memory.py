"""What an agent that takes a call over must be told of it."""

from backhaul.core.checkpoint import Called, CallerSaid, Checkpoint, Noted, Saying
from backhaul.core.finding import KeptCall
from edge.core.audio_ring import AudioRing

__all__ = ["CallMemory"]


class CallMemory:
    """The last checkpoint of a call, and what the caller has said since.

    Attributes:
        checkpoint: What the last agent knew; None: nothing yet.
        audio: The end of the caller's audio.
        lost: Bytes of that which no agent got: a turn was longer than what is kept.
    """

    def __init__(self) -> None:
        self.checkpoint: Checkpoint | None = None
        self.audio = AudioRing()
        self.lost = 0
        self._silent_until = 0
        """Up to there the caller said nothing that a checkpoint does not tell of."""

    def resume(self, kept: KeptCall) -> None:
        """Begin where another edge was lost."""
        self.checkpoint = kept.checkpoint
        self.audio.resume(kept.caller_position)

    def keep(self, checkpoint: Checkpoint) -> None:
        """Take note of a checkpoint; an older one than the last counts no more."""
        if self.checkpoint is None or checkpoint.version >= self.checkpoint.version:
            self.checkpoint = checkpoint
            self.audio.release(checkpoint.caller_position)

    def silent(self, position: int) -> None:
        """Forget the silence up to *position*; see `Silent`."""
        self._silent_until = max(self._silent_until, position)
        self.audio.release(position)

    def unheard(self) -> tuple[int, tuple[bytes, ...]]:
        """Return the caller's audio that no checkpoint covers, and where it begins.

        It is for an agent that takes the call over.
        """
        # Of a call that came from another edge, a later checkpoint may cover less than
        # the one that it came with, and what lies between is there no more.
        covered = 0 if self.checkpoint is None else self.checkpoint.caller_position
        wanted = max(covered, self._silent_until)
        start, frames = self.audio.after(wanted)
        self.lost += max(start - wanted, 0)
        return start, frames

    @property
    def model_is_due(self) -> bool:
        """Whether the next agent speaks first: something waits for an answer."""
        items = () if self.checkpoint is None else self.checkpoint.items
        match items[-1:]:
            case (Saying(whole=whole),):
                return not whole
            case (CallerSaid() | Called() | Noted(),):
                return True
            case _:
                return False
