"""Refuses those who act for a call that goes on elsewhere by now."""

from collections import OrderedDict
from typing import Final

__all__ = ["EpochFence"]

_MAX_CALLS: Final = 4096
"""Many times the calls that an agent serves in the longest call's hour."""


class EpochFence:
    """Remembers the latest epoch of each call, of the calls placed last."""

    def __init__(self, max_calls: int = _MAX_CALLS) -> None:
        """Make it; above *max_calls* it forgets who was placed longest ago."""
        self._max_calls = max_calls
        self._epochs: OrderedDict[str, int] = OrderedDict()

    def latest(self, call_sid: str, epoch: int) -> int:
        """Return the latest epoch of a call that was heard of; *epoch*, if no later."""
        return max(epoch, self._epochs.get(call_sid, epoch))

    def is_stale(self, call_sid: str, epoch: int) -> bool:
        """Tell whether the call was placed anew since *epoch*."""
        return epoch < self.latest(call_sid, epoch)

    def admit(self, call_sid: str, epoch: int) -> bool:
        """Remember that a call is placed; return whether its epoch is not stale."""
        if self.is_stale(call_sid, epoch):
            return False
        self._epochs[call_sid] = epoch
        self._epochs.move_to_end(call_sid)
        if len(self._epochs) > self._max_calls:
            self._epochs.popitem(last=False)
        return True
