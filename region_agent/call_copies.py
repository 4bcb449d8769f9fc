"""Copies of all calls in the region's store, for when edge and agent are lost both.

Nothing waits for them: they are written in the background, at most once a second for
each call, and a store that is dead or hangs costs a call nothing.
"""

import asyncio
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final, Protocol

import structlog

from backhaul.clock import monotonic_s
from backhaul.core.close_reason import CloseReason
from backhaul.core.finding import KeptCall
from backhaul.errors import StoreError
from backhaul.store import Store
from backhaul.tasks import TaskOwner

__all__ = ["CallCopies", "CopiedCall"]

_WRITE_EVERY_S: Final = 1.0
_TTL_S: Final = 120.0
"""How long a copy outlives the agent that wrote it (s)."""
_REFRESH_S: Final = 40.0
"""A copy is written again after this (s), although nothing has changed."""
_AT_ONCE: Final = 16
"""Copies in one request; each may have 64 KB."""
_MAX_FORGOTTEN: Final = 4096
"""Calls that are over and still to be forgotten; the store forgets them by itself."""

_GOES_ON: Final = frozenset(
    {
        CloseReason.LINK_LOST,
        CloseReason.SESSION_LOST,
        CloseReason.NO_ANSWER,
        CloseReason.DRAINED,
        CloseReason.HANDED_OVER,
        CloseReason.STALE_EPOCH,
        CloseReason.INTERNAL_ERROR,
    }
)
"""Ends after which the call may go on elsewhere, and its copy is still good."""

_log = structlog.get_logger()

_Written = tuple[float, int, int, int]


class CopiedCall(Protocol):
    """A call, as far as copies need it."""

    @property
    def call_sid(self) -> str:
        """Whose call it is."""
        ...

    def kept(self) -> KeptCall:
        """Return what is known of it."""
        ...


class CallCopies:
    """Writes how far the calls of one agent have come.

    Attributes:
        written: Copies that were written.
        failed: Times the store took none.
    """

    def __init__(self, region: str) -> None:
        """Know in which *region*."""
        self.written = 0
        self.failed = 0
        self._region = region
        self._store: Callable[[], Store | None]
        self._calls: Callable[[], Iterable[CopiedCall]]
        self._known: dict[str, _Written] = {}
        self._over: dict[str, None] = {}
        self._tasks = TaskOwner()

    def start(
        self,
        store: Callable[[], Store | None],
        calls: Callable[[], Iterable[CopiedCall]],
    ) -> None:
        """Begin to write.

        Args:
            store: Returns the region's store, None while there is none.
            calls: Returns the live calls.
        """
        self._store, self._calls = store, calls
        self._tasks.spawn(self._write_forever(), name="copies")

    async def aclose(self) -> None:
        """Write no more."""
        await self._tasks.aclose()

    def end(self, call_sid: str, reason: CloseReason) -> None:
        """A call is over for this agent; forget it unless it may go on elsewhere."""
        self._known.pop(call_sid, None)
        if reason not in _GOES_ON and len(self._over) < _MAX_FORGOTTEN:
            self._over[call_sid] = None

    async def recall(self, call_sid: str) -> KeptCall | None:
        """Return what the store knows of a call; nothing if it does not answer soon."""
        store = self._store()
        if store is None:
            return None
        try:
            return await store.call(self._region, call_sid)
        except StoreError as exc:
            _log.info("call_copy.unknown", call_sid=call_sid, reason=exc.reason)
            return None

    async def _write_forever(self) -> None:
        while True:
            await asyncio.sleep(_WRITE_EVERY_S)
            store = self._store()
            if store is not None:
                try:
                    await self._write(store)
                except StoreError:
                    self.failed += 1  # the store's breaker keeps the next ones short

    async def _write(self, store: Store) -> None:
        due = [call for call in self._calls() if self._is_due(call)]
        for start in range(0, len(due), _AT_ONCE):
            kept = {one.call_sid: one.kept() for one in due[start : start + _AT_ONCE]}
            await store.save_calls(self._region, kept, ttl_s=_TTL_S)
            live = {one.call_sid for one in self._calls()}
            for call_sid, call in kept.items():
                self.written += 1
                if call_sid in live:
                    self._known[call_sid] = (monotonic_s(), *_stamp(call))
        while self._over:
            over = list(islice(self._over, _AT_ONCE))
            await store.forget_calls(self._region, over)
            for call_sid in over:
                del self._over[call_sid]

    def _is_due(self, call: CopiedCall) -> bool:
        known = self._known.get(call.call_sid)
        if known is None:
            return True
        written_at, *stamp = known
        refresh = monotonic_s() - written_at >= _REFRESH_S
        return refresh or tuple(stamp) != _stamp(call.kept())


def _stamp(call: KeptCall) -> tuple[int, int, int]:
    """Return what tells one state of a call from another."""
    version = -1 if call.checkpoint is None else call.checkpoint.version
    return call.epoch, version, call.voice_position
