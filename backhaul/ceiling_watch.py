"""Measures how late this process is, and from that how many calls it takes."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator

import structlog
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from backhaul.batcher import Batcher
from backhaul.core.ceiling import (
    WINDOW_S,
    Ceiling,
    CeilingMoved,
    CeilingState,
    Window,
)
from backhaul.driver import LoopDriver
from backhaul.metric_families import counter, gauge
from backhaul.recent import Recent
from backhaul.tasks import TaskOwner

__all__ = ["CeilingWatch"]

_log = structlog.get_logger()


class CeilingWatch(Collector):
    """Keeps a process's ceiling of calls at what it carries.

    Attributes:
        ceiling: What was learned.
        moves: How often it was raised and lowered.
    """

    def __init__(
        self,
        ceiling: Ceiling,
        *,
        calls: Callable[[], int],
        lags: Recent,
        batcher: Batcher,
        on_moved: Callable[[], None] = lambda: None,
        prefix: str = "",
    ) -> None:
        """Know what to measure.

        Args:
            ceiling: What is learned.
            calls: Returns how many calls have a place.
            lags: How late timers fire (s).
            batcher: Counts the frames that are sent.
            on_moved: Hears when the limit is another one.
            prefix: Of the names of the metrics.
        """
        self.ceiling = ceiling
        self.moves = Counter[str]()
        self._limit = ceiling.limit
        self._calls = calls
        self._lags = lags
        self._batcher = batcher
        self._on_moved = on_moved
        self._prefix = prefix
        self._seen = (0, 0)
        self._tasks = TaskOwner()
        self._driver: LoopDriver[Window, CeilingMoved] = LoopDriver(
            self.ceiling, self._perform
        )

    def start(self) -> None:
        """Begin to measure."""
        self._lags.take()  # from while everything was opened
        self._tasks.spawn(self._keep(), name="ceiling")

    def judge(self, window: Window) -> None:
        """Draw the conclusions from what was measured."""
        self._driver.feed(window)

    async def aclose(self) -> None:
        """Measure no more."""
        self._driver.close()
        await self._tasks.aclose()

    def collect(self) -> Iterator[Metric]:
        """Return the present state as metric families."""
        yield gauge(
            f"{self._prefix}ceiling_state",
            "1 for what is known of the ceiling of calls, 0 for all else.",
            ("state",),
            (
                ((state.name.lower(),), float(state is self.ceiling.state))
                for state in CeilingState
            ),
        )
        yield counter(
            f"{self._prefix}ceiling_moves",
            "Times that the ceiling of calls was set anew, by where it went.",
            ("direction",),
            (((name,), self.moves[name]) for name in ("raised", "lowered")),
        )
        late = self._batcher.late
        yield counter(
            f"{self._prefix}link_frames_sent",
            "Frames sent on links, by whether they were held for over 20 ms (late).",
            ("outcome",),
            ((("in_time",), self._batcher.sent - late), (("late",), late)),
        )

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(WINDOW_S)
            self.judge(self._window())

    def _window(self) -> Window:
        sent, late = self._batcher.sent, self._batcher.late
        seen, self._seen = self._seen, (sent, late)
        return Window(
            lags_s=tuple(self._lags.take()),
            frames=sent - seen[0],
            late=late - seen[1],
            calls=self._calls(),
        )

    def _perform(self, moved: CeilingMoved) -> None:
        if moved.limit != self._limit:
            self.moves["raised" if moved.limit > self._limit else "lowered"] += 1
            self._limit = moved.limit
            self._on_moved()
        if moved.old is not moved.new:
            _log.info(
                "ceiling.state_changed",
                old=moved.old.name.lower(),
                new=moved.new.name.lower(),
                limit=moved.limit,
                calls=self._calls(),
            )
