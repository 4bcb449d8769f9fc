"""Functions wait until the edge keeps their call: then nobody calls them anew.

An agent may be lost, or be left, at any moment. If it had asked a function that its
edge knows nothing of, the next agent's model would call it once more, under another
key, and it would be done twice.
"""

from collections import deque
from collections.abc import Iterable

from backhaul.core.checkpoint import Called, Item
from region_agent.core.conversation_events import CallTool

__all__ = ["WriteAhead"]


class WriteAhead:
    """The calls of functions that are held back."""

    def __init__(self, known: Iterable[Item] = ()) -> None:
        """Hold nothing yet; what stands in *known* came from the edge itself."""
        self._known = {item.key for item in known if isinstance(item, Called)}
        self._waiting: deque[tuple[int, CallTool]] = deque()

    def called(self, call: CallTool, *, version: int) -> tuple[CallTool, ...]:
        """Return what may be asked now that a function is called.

        Args:
            call: Which.
            version: Of the first checkpoint that it stands in.
        """
        if call.key in self._known:
            return (call,)
        self._waiting.append((version, call))
        return ()

    def kept(self, version: int) -> tuple[CallTool, ...]:
        """Return what may be asked now that the edge keeps the checkpoint *version*."""
        ready: list[CallTool] = []
        while self._waiting and self._waiting[0][0] <= version:
            ready.append(self._waiting.popleft()[1])
        return tuple(ready)
