"""Every call between this process and one process of the other side."""

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from backhaul.batcher import Batcher
from backhaul.channels import Channel, ChannelHandler
from backhaul.core.audio_receiver import ChannelCounters
from backhaul.core.messages import (
    Arrived,
    CloseReason,
    Hello,
    Open,
    Resume,
    ResumeRefused,
)

if TYPE_CHECKING:
    from backhaul.links import Link

__all__ = ["ChannelTable", "ChannelTables"]

_LINGER_S: Final = 5.0
"""How long a channel is kept that was closed (s): several heartbeats."""


class ChannelTable:
    """The channels between two processes, on any link between them.

    Attributes:
        channels: By number.
        peer: The other side.
        links: The links that are ready.
        counters: What became of their frames.
        grace_s: How long a channel waits for a link, when its own is gone (s).
        linger_s: How long a closed channel is kept (s).
        loop: Keeps the time.
    """

    def __init__(
        self,
        peer: Hello,
        *,
        grace_s: float,
        counters: ChannelCounters,
        on_empty: Callable[[], None],
    ) -> None:
        """Make it empty; *on_empty* hears when nothing is left in it."""
        self.peer = peer
        self.channels: dict[int, Channel] = {}
        self.links: set[Link] = set()
        self.counters = counters
        self.grace_s = grace_s
        self.linger_s = _LINGER_S
        self.loop = asyncio.get_running_loop()
        self._next_number = 1
        self._on_empty = on_empty

    def open(self, link: "Link", handler: ChannelHandler, message: Open) -> Channel:
        """Start a call on *link*; audio may follow at once."""
        number, self._next_number = self._next_number, self._next_number + 1
        channel = self.accept(link, number)
        channel.bind(handler)
        channel.send(message)
        return channel

    def accept(self, link: "Link", number: int) -> Channel:
        """Note a call that the other side starts on *link*."""
        channel = self.channels[number] = Channel(self, link, number)
        return channel

    def acknowledge(self, arrived: Iterable[Arrived]) -> None:
        """The other side says how far channels have arrived."""
        for one in arrived:
            channel = self.channels.get(one.channel)
            if channel is not None:
                channel.acknowledge(one)

    def on_resumed(self, link: "Link", message: Resume) -> None:
        """The other side moved a channel to *link*."""
        channel = self.channels.get(message.arrived.channel)
        if channel is not None:
            channel.on_resumed(link, message.arrived)
        elif message.opened:
            link.send(ResumeRefused(message.arrived.channel))
        # Otherwise its `Open` never came, and is on its way again.

    def on_resume_refused(self, message: ResumeRefused) -> None:
        """The other side does not know a channel that was moved."""
        channel = self.channels.get(message.channel)
        if channel is not None:
            channel.drop(CloseReason.LINK_LOST)

    def remove(self, channel: Channel) -> None:
        """Forget *channel*."""
        self.channels.pop(channel.number, None)
        self._note_empty()

    def leave(self, link: "Link") -> None:
        """Note that *link* is gone; its channels that nobody moved are stranded."""
        self.links.discard(link)
        for channel in list(link.channels.values()):
            channel.strand()
        self._note_empty()

    def _note_empty(self) -> None:
        if not self.links and not self.channels:
            self._on_empty()


class ChannelTables:
    """What all links of this process share: a table for each process they lead to.

    Attributes:
        batcher: When they send.
        counters: What became of the frames of all channels.
    """

    def __init__(self, *, grace_s: float) -> None:
        """Make it empty.

        Args:
            grace_s: How long a call waits for another link when its own is gone (s);
                0 where this side is the one that moves calls.
        """
        self.batcher = Batcher()
        self.counters = ChannelCounters()
        self._grace_s = grace_s
        self._tables: dict[tuple[str, str], ChannelTable] = {}

    def join(self, link: "Link", peer: Hello) -> ChannelTable:
        """Return the table that *link*, which is ready now, shares with others."""
        key = (peer.name, peer.instance)
        table = self._tables.get(key)
        if table is None:
            table = self._tables[key] = ChannelTable(
                peer,
                grace_s=self._grace_s,
                counters=self.counters,
                on_empty=lambda: self._forget(key),
            )
        table.links.add(link)
        return table

    def close(self) -> None:
        """Drop every channel that is left."""
        for table in list(self._tables.values()):
            for channel in list(table.channels.values()):
                channel.drop(CloseReason.LINK_LOST)

    def _forget(self, key: tuple[str, str]) -> None:
        self._tables.pop(key, None)
