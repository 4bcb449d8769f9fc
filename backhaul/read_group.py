"""Sockets that are read together, once in a tick, when there is much to read.

A busy process is woken by every frame of every call, and spends more on being woken
than on the frame, which then waits for the tick to go on. So it may as well wait in its
socket: one look at all of them in a tick finds dozens of frames.
"""

import asyncio
import select
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from backhaul.batcher import Batcher

__all__ = ["ReadGroup"]

_NOW: Final = 0
"""How long to wait for sockets that can be read (s)."""


class ReadGroup:
    """The running event loop, to transports whose sockets may be read together.

    Give it to aiofastnet in place of the loop. All but reading is the loop's own, and
    reading as well until a socket joins: handshakes do not wait.
    """

    def __init__(self, batcher: Batcher) -> None:
        """Make it empty; *batcher* says when there is a tick, and keeps it."""
        self._loop = asyncio.get_running_loop()
        self._batcher = batcher
        self._epoll = select.epoll()
        self._alone: dict[int, Callable[[], None]] = {}
        self._together: dict[int, Callable[[], None]] = {}
        self._watch()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever loops have
        return getattr(self._loop, name)

    def add_reader(self, fd: int, callback: Callable[..., None], *args: object) -> None:
        """Call *callback* when *fd* can be read; see AbstractEventLoop."""
        read = partial(callback, *args) if args else callback
        if fd in self._together:
            self._together[fd] = read
        else:
            self._alone[fd] = read
            self._loop.add_reader(fd, read)

    def remove_reader(self, fd: int) -> bool:
        """Do not any more; see AbstractEventLoop."""
        if self._together.pop(fd, None) is not None:
            self._epoll.unregister(fd)
            return True
        self._alone.pop(fd, None)
        return self._loop.remove_reader(fd)

    def join(self, fd: int) -> None:
        """Read *fd* together with others from now on, if it is read at all."""
        if fd in self._alone and not self._epoll.closed:
            self._loop.remove_reader(fd)
            self._together[fd] = self._alone.pop(fd)
            self._epoll.register(fd, select.EPOLLIN)

    def close(self) -> None:
        """Read no more; does nothing twice."""
        if self._epoll.closed:
            return
        self._loop.remove_reader(self._epoll.fileno())
        self._together.clear()
        self._epoll.close()

    def _watch(self) -> None:
        self._loop.add_reader(self._epoll.fileno(), self._on_ready)

    def _on_ready(self) -> None:
        self._read()
        if self._batcher.due_first(self._on_tick):
            self._loop.remove_reader(self._epoll.fileno())

    def _on_tick(self) -> None:
        if self._epoll.closed:
            return
        try:
            self._read()
        finally:
            if not self._batcher.due_first(self._on_tick):
                self._watch()

    def _read(self) -> None:
        for fd, _ in self._epoll.poll(_NOW):
            # Whoever was read before may have closed this one.
            if (read := self._together.get(fd)) is not None:
                read()
