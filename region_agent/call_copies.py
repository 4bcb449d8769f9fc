"""Copies of all calls in the region's store, for when edge and agent are lost both.

Nothing waits for them: they are written in the background, once a second for each call
that has gone on, and a store that is dead or hangs costs a call nothing. They are
written at once when a function is asked, which must not be asked again, and when a call
is left with nobody.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator
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
        CloseReason.NO_ANSWER,
        CloseReason.DRAINED,
        CloseReason.HANDED_OVER,
        CloseReason.STALE_EPOCH,
        CloseReason.INTERNAL_ERROR,
    }
)
"""Ends after which the call may go on elsewhere, and its copy is still good."""

_WITH_NOBODY: Final = frozenset(
    {CloseReason.MEDIA_STREAM_LOST, CloseReason.SESSION_LOST}
)
"""Ends after which its edge alone knows how far the call has come."""

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
        self._left: dict[str, KeptCall] = {}
        """The last of calls that are left with nobody, to be written."""
        self._hasty: set[str] = set()
        self._hurry = asyncio.Event()
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

    def hasten(self, call_sid: str) -> None:
        """Write a call at once: it has ordered what must not be ordered twice."""
        self._hasty.add(call_sid)
        self._hurry.set()

    def end(self, call: CopiedCall, reason: CloseReason) -> None:
        """A call is over for this agent; forget it unless it may go on elsewhere."""
        call_sid = call.call_sid
        self._known.pop(call_sid, None)
        if len(self._over) + len(self._left) >= _MAX_FORGOTTEN:
            return
        if reason in _WITH_NOBODY:
            self._left[call_sid] = call.kept()
            self._hurry.set()
        elif reason not in _GOES_ON:
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
        due_at = monotonic_s() + _WRITE_EVERY_S
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(due_at - monotonic_s()):
                    await self._hurry.wait()
            self._hurry.clear()
            hasty, self._hasty = self._hasty, set()
            is_due = monotonic_s() >= due_at
            if is_due:
                due_at = monotonic_s() + _WRITE_EVERY_S
            calls = [call for call in self._calls() if is_due or call.call_sid in hasty]
            store = self._store()
            if store is not None:
                try:
                    await self._write(store, calls)
                except StoreError:
                    self.failed += 1  # the store's breaker keeps the next ones short

    async def _write(self, store: Store, calls: Iterable[CopiedCall]) -> None:
        left, self._left = self._left, {}
        due = [call for call in calls if self._is_due(call)]
        kept = {**left, **{call.call_sid: call.kept() for call in due}}
        for some in _chunks(kept):
            await store.save_calls(
                self._region, {one: kept[one] for one in some}, ttl_s=_TTL_S
            )
            live = {call.call_sid for call in self._calls()}
            for call_sid in some:
                self.written += 1
                if call_sid in live:
                    self._known[call_sid] = (monotonic_s(), *_stamp(kept[call_sid]))
        for some in _chunks(tuple(self._over)):
            await store.forget_calls(self._region, some)
            for call_sid in some:
                del self._over[call_sid]

    def _is_due(self, call: CopiedCall) -> bool:
        known = self._known.get(call.call_sid)
        if known is None:
            return True
        written_at, *stamp = known
        refresh = monotonic_s() - written_at >= _REFRESH_S
        return refresh or tuple(stamp) != _stamp(call.kept())


def _chunks(call_sids: Iterable[str]) -> Iterator[list[str]]:
    left = iter(call_sids)
    while some := list(islice(left, _AT_ONCE)):
        yield some


def _stamp(call: KeptCall) -> tuple[int, int, int]:
    """Return what tells one state of a call from another."""
    version = -1 if call.checkpoint is None else call.checkpoint.version
    return call.epoch, version, call.voice_position
