"""Why a call goes to another session: it is told to, or its caller waits in vain."""

from backhaul.core.handover import Handover, HandoverReason
from region_agent.core.conversation_events import LeaveWanted, SendMessage
from region_agent.core.departure import Departure
from region_agent.core.patience import Patience

__all__ = ["Leaving"]


class Leaving:
    """Has the edge look for another session; a part of the conversation.

    Until there is one the call goes on as ever.
    """

    def __init__(self) -> None:
        self._departure = Departure()
        self._patience = Patience()

    def resume(self) -> None:
        """The call comes from another session; see Patience."""
        self._patience.resume()

    def answered(self, *, now: float) -> None:
        """The model does what it is asked; see Patience."""
        self._patience.answered(now=now)

    def want(self, wanted: LeaveWanted) -> tuple[()]:
        """Let the call leave; see Departure. Nothing is to be done yet."""
        self._departure.want(wanted)
        return ()

    def ask(
        self, *, quiet: bool, waiting: bool, spoken: bool, now: float
    ) -> tuple[SendMessage, ...]:
        """Return what the edge is to be told now.

        Args:
            quiet: Whether nobody speaks, and nothing is under way.
            waiting: Whether the caller waits for the model.
            spoken: Whether it has spoken since it was asked last.
            now: Monotonic seconds.
        """
        in_vain = self._patience.observe(waiting=waiting, spoken=spoken, now=now)
        reason = self._departure.ask(quiet=quiet, now=now)
        if in_vain:
            reason = HandoverReason.MODEL_SILENT
        return () if reason is None else (SendMessage(Handover(reason)),)

    def next_deadline(self) -> float | None:
        """Return when `ask` wants to be called, whatever happens until then."""
        due = (self._departure.next_deadline(), self._patience.next_deadline())
        return min((at for at in due if at is not None), default=None)
