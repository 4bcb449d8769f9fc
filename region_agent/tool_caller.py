"""Asks the functions that one conversation calls, when its edge knows of them."""

from collections.abc import Callable

from backhaul.core.messages import Open
from region_agent.core.conversation_events import CallTool
from region_agent.core.write_ahead import WriteAhead
from region_agent.tools import ToolRequest, ToolResult, Tools

__all__ = ["ToolCaller"]


class ToolCaller:
    """The functions of one call."""

    def __init__(
        self,
        message: Open,
        tools: Tools,
        *,
        on_asked: Callable[[str], None],
        on_answered: Callable[[CallTool, ToolResult], None],
    ) -> None:
        """Ask nothing yet.

        Args:
            message: Opened the call.
            tools: Of the agent.
            on_asked: Hears the CallSid whenever a function is asked.
            on_answered: Hears of every answer, also after the call's end.
        """
        self._message = message
        self._tools = tools
        self._on_asked = on_asked
        self._on_answered = on_answered
        kept = message.checkpoint
        self._write_ahead = WriteAhead(() if kept is None else kept.items)

    def called(self, called: CallTool, *, version: int) -> None:
        """A function is called, which stands in the checkpoint *version* first."""
        for ready in self._write_ahead.called(called, version=version):
            self._ask(ready)

    def kept(self, version: int) -> None:
        """The edge keeps the checkpoint *version*."""
        for ready in self._write_ahead.kept(version):
            self._ask(ready)

    def _ask(self, called: CallTool) -> None:
        message = self._message
        request = ToolRequest(
            profile=message.profile,
            name=called.name,
            arguments=called.arguments,
            call_id=called.call_id,
            key=called.key,
            call_sid=message.call_sid,
            caller=message.caller,
        )
        self._on_asked(message.call_sid)
        # A caller who hangs up has still ordered what was ordered: it is seen through.
        self._tools.begin(request, lambda result: self._on_answered(called, result))
