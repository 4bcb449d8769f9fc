"""What happened lately in a process, for those who look on: events and measurements."""

from collections import deque
from collections.abc import Callable, Mapping, MutableMapping
from itertools import takewhile
from typing import Any, Final, TypeVar

from backhaul.clock import unix_s

__all__ = ["News"]

_EVENTS_KEPT: Final = 300
_SAMPLES_KEPT: Final = 2000
_MAX_CHARS: Final = 200
_MAX_FACTS: Final = 16
_CHATTER: Final = frozenset({"call.routed", "conversation.ended", "metrics.measured"})
"""Lines of the log that change nothing, or that another one tells as well."""
_STAMPS: Final = frozenset({"event", "level", "timestamp"})
_NOT_TOLD: Final = frozenset(
    {"session_ids", "caller_country", "caller_state", "caller_source", "exception"}
)

_Row = TypeVar("_Row", bound=tuple[Any, ...])


class News:
    """The last events and measurements, each with a number that only grows.

    Events are lines of the log, which hold nothing personal; see `note`.

    Attributes:
        since_unix_s: When the process began; numbers start again with each one.
    """

    def __init__(self) -> None:
        self.since_unix_s = unix_s()
        self._number = 0
        self._events: deque[tuple[int, float, str, dict[str, Any]]] = deque(
            maxlen=_EVENTS_KEPT
        )
        self._samples: deque[tuple[int, float, str, float, str]] = deque(
            maxlen=_SAMPLES_KEPT
        )

    @property
    def number(self) -> int:
        """The latest number given."""
        return self._number

    def note(self, name: str, facts: Mapping[str, Any]) -> None:
        """Keep the event *name*, unless it is chatter, with those facts that are short.

        Args:
            name: As in the log.
            facts: As in the log; nothing personal.
        """
        if name in _CHATTER:
            return
        told = {key: _short(value) for key, value in facts.items() if _told(key, value)}
        few = dict(list(told.items())[:_MAX_FACTS])
        self._events.append((self._next(), round(unix_s(), 3), name, few))

    def measured(self, series: str, seconds: float, where: str = "") -> None:
        """Keep a measurement (s) of *series*, of a region or a kind of thing."""
        row = (self._next(), round(unix_s(), 3), series, round(seconds, 6), where)
        self._samples.append(row)

    def taker(self, series: str) -> Callable[[float], None]:
        """Return a function that keeps measurements (s) of *series*."""
        return lambda seconds: self.measured(series, seconds)

    def since(self, number: int) -> dict[str, Any]:
        """Return what is newer than *number*, 0 for everything that is kept."""
        return {
            "number": self._number,
            "events": _newer(self._events, number),
            "samples": _newer(self._samples, number),
        }

    def log_processor(
        self, _logger: object, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Keep a line of the log; one of structlog's processors."""
        facts = {key: event[key] for key in event if key not in _STAMPS}
        self.note(str(event.get("event", "")), facts)
        return event

    def _next(self) -> int:
        self._number += 1
        return self._number


def _newer(rows: "deque[_Row]", number: int) -> list[_Row]:
    latest = [*takewhile(lambda row: row[0] > number, reversed(rows))]
    return latest[::-1]


def _told(key: str, value: object) -> bool:
    if key in _NOT_TOLD or value is None:
        return False
    return isinstance(value, str | int | float | list | tuple)


def _short(value: Any) -> Any:  # noqa: ANN401 - whatever a line of the log holds
    if isinstance(value, list | tuple):
        value = ", ".join(str(one) for one in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return value[:_MAX_CHARS] if isinstance(value, str) else value
