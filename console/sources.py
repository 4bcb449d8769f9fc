"""The processes that the page shows: follows the admin APIs of edges and agents.

Nothing is merged, or even read, here: what a process says goes on to the browsers as it
came. Only the latest snapshot of each is kept, for browsers that come later.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, Protocol

import aiohttp

from backhaul.tasks import TaskOwner

__all__ = ["Source", "SourceListener", "Sources"]

_LOOK_EVERY_S: Final = 1.0
_SILENT_S: Final = 4.0
"""A process that has said nothing for so long is lost; it speaks once a second."""
_AGAIN_AFTER_S: Final = 1.0
_ASK_S: Final = 3.0
_MAX_EVENT_BYTES: Final = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Source:
    """One process."""

    key: str
    """Names it among the others, for as long as it is there."""
    url: str
    """Of its admin listener."""
    token: str = field(repr=False)


class SourceListener(Protocol):
    """Hears what the sources say."""

    def on_snapshot(self, source: Source, snapshot: bytes) -> None:
        """A source has said how it stands: one JSON object."""
        ...

    def on_lost(self, source: Source) -> None:
        """A source cannot be heard any more, or could not be reached."""
        ...


class _LostError(Exception):
    """A source cannot be heard."""


class _SeveralError(Exception):
    """A source is several processes, which speak for themselves."""


class Sources:
    """Follows every source that there is, as they come and go.

    Attributes:
        latest: The latest snapshot of each source that is heard, by key.
    """

    def __init__(
        self, find: Callable[[], Iterable[Source]], listener: SourceListener
    ) -> None:
        """Prepare to follow.

        Args:
            find: Returns the sources there are now; asked once a second.
            listener: Hears what they say.
        """
        self.latest: dict[str, bytes] = {}
        self._find = find
        self._listener = listener
        self._followed: dict[str, Source] = {}
        self._workers: dict[str, tuple[Source, ...]] = {}
        """Of those that may be several processes, by key."""
        self._tasks = TaskOwner()
        self._http: aiohttp.ClientSession | None = None

    def start(self) -> None:
        """Begin to follow."""
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=_ASK_S, sock_read=_SILENT_S
        )
        self._http = aiohttp.ClientSession(timeout=timeout)
        self._tasks.spawn(self._look(), name="console:sources")

    async def aclose(self) -> None:
        """Follow nobody any more."""
        await self._tasks.aclose()
        if self._http is not None:
            await self._http.close()

    async def ask_all(self, path: str) -> list[tuple[str, bytes]]:
        """Return what each source answers on *path*, by its key, if anything."""
        known = list(self._followed.values())
        answers = await asyncio.gather(*(self._ask(source, path) for source in known))
        pairs = zip(known, answers, strict=True)
        return [(source.key, answer) for source, answer in pairs if answer]

    async def _ask(self, source: Source, path: str) -> bytes:
        if self._http is None or source.key not in self.latest:
            return b""
        try:
            async with (
                asyncio.timeout(_ASK_S),
                self._http.get(source.url + path, headers=_headers(source)) as answer,
            ):
                found = answer.status == HTTPStatus.OK
                return await answer.read() if found else b""
        except (aiohttp.ClientError, TimeoutError, OSError):
            return b""

    async def _look(self) -> None:
        while True:
            each = await asyncio.gather(*map(self._parts, self._find()))
            found = {part.key: part for parts in each for part in parts}
            for key, source in found.items():
                if self._followed.get(key) != source:
                    self._followed[key] = source
                    self._tasks.spawn(self._follow(source), name=f"console:{key}")
            for key in self._followed.keys() - found.keys():
                del self._followed[key]
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _follow(self, source: Source) -> None:
        """Listen to *source* until there is another one, or none, of its key."""
        while self._followed.get(source.key) is source:
            try:
                async for snapshot in self._events(source):
                    if self._followed.get(source.key) is not source:
                        return
                    self.latest[source.key] = snapshot
                    self._listener.on_snapshot(source, snapshot)
            except _LostError:
                pass
            except _SeveralError:
                self._workers[source.key] = ()  # to be asked for
                self._followed.pop(source.key, None)
                return
            self.latest.pop(source.key, None)
            self._listener.on_lost(source)
            await asyncio.sleep(_AGAIN_AFTER_S)

    async def _parts(self, source: Source) -> tuple[Source, ...]:
        """Return the source, or its workers if it has some."""
        if source.key not in self._workers:
            return (source,)
        with contextlib.suppress(_LostError):
            numbers = await self._numbers(source)
            if not numbers:
                del self._workers[source.key]
                return (source,)
            self._workers[source.key] = tuple(_worker(source, one) for one in numbers)
        return self._workers[source.key] or (source,)

    async def _numbers(self, source: Source) -> list[int]:
        """Return the numbers of a source's workers; nothing: it has none.

        Raises:
            _LostError: It does not say.
        """
        if self._http is None:
            return []
        url = f"{source.url}/workers"
        try:
            async with (
                asyncio.timeout(_ASK_S),
                self._http.get(url, headers=_headers(source)) as answer,
            ):
                if answer.status != HTTPStatus.OK:
                    return []
                numbers: list[int] = (await answer.json())["workers"]
                return numbers
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise _LostError from exc

    async def _events(self, source: Source) -> AsyncIterator[bytes]:
        """Yield what a source says.

        Raises:
            _LostError: It cannot be heard.
            _SeveralError: It may be several, each of which can be.
        """
        if self._http is None:
            return
        url = f"{source.url}/api/live"
        try:
            async with self._http.get(url, headers=_headers(source)) as answer:
                if answer.status == HTTPStatus.NOT_FOUND:
                    raise _SeveralError
                if answer.status != HTTPStatus.OK:
                    raise _LostError
                buffer = b""
                async for chunk in answer.content.iter_any():
                    *events, buffer = (buffer + chunk).split(b"\n\n")
                    if len(buffer) > _MAX_EVENT_BYTES:
                        raise _LostError
                    for event in events:
                        yield event.removeprefix(b"data: ")
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise _LostError from exc


def _worker(source: Source, number: int) -> Source:
    return Source(
        f"{source.key}/{number}", f"{source.url}/workers/{number}", source.token
    )


def _headers(source: Source) -> dict[str, str]:
    return {"Authorization": f"Bearer {source.token}"}
