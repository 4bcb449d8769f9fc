"""Processes that wait for each other before they end.

All of them hold both ends of one pipe. It ends when the last of them has closed its
write end, or has died.
"""

import asyncio
import contextlib
import os
from typing import Self

__all__ = ["Rendezvous"]


class Rendezvous:
    """One process's hold on the pipe."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        """Take over both ends, as they were inherited."""
        self.fds = (read_fd, write_fd)
        self._held = {read_fd, write_fd}

    @classmethod
    def make(cls) -> Self:
        """Return the hold of whoever starts the others, which inherit its `fds`."""
        return cls(*os.pipe())

    def arrive(self) -> None:
        """Wait for the others from now on, and let them go; nothing happens twice."""
        self._release(self.fds[1])

    async def wait_all(self, within_s: float) -> bool:
        """Arrive, and wait for all others, at most *within_s* (s).

        Returns:
            Whether all of them have arrived, or are gone.
        """
        self.arrive()
        read_fd = self.fds[0]
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        # Nobody ever writes: that it can be read is its end.
        loop.add_reader(read_fd, ended.set)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await ended.wait()
        finally:
            loop.remove_reader(read_fd)
        return ended.is_set()

    def close(self) -> None:
        """Let go of both ends; does nothing twice."""
        for fd in self.fds:
            self._release(fd)

    def _release(self, fd: int) -> None:
        if fd in self._held:
            self._held.remove(fd)
            os.close(fd)
