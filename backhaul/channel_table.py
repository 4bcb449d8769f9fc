"""Every call between this process and one process of the other side."""

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from backhaul.batcher import Batcher
from backhaul.channels import Channel, ChannelHandler
from backhaul.core.audio_receiver import ChannelCounters
from backhaul.core.frames import LINK_CHANNEL, SEQUENCE_MODULUS
from backhaul.core.messages import (
    Arrived,
    ChannelUnknown,
    CloseReason,
    Hello,
    Open,
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
        new_number: Callable[[], int],
        on_empty: Callable[["ChannelTable"], None],
    ) -> None:
        """Make it empty.

        Args:
            peer: The other side.
            grace_s: See `ChannelTables`.
            counters: What became of the frames of all channels.
            new_number: Numbers the channels that this side opens.
            on_empty: Hears when neither a link nor a channel is left.
        """
        self.peer = peer
        self.channels: dict[int, Channel] = {}
        self.links: set[Link] = set()
        self.counters = counters
        self.grace_s = grace_s
        self.linger_s = _LINGER_S
        self.loop = asyncio.get_running_loop()
        self._new_number = new_number
        self._on_empty = on_empty

    def open(self, link: "Link", handler: ChannelHandler, message: Open) -> Channel:
        """Start a call on *link*; audio may follow at once."""
        number = self._new_number()
        while number in self.channels:
            number = self._new_number()  # in use since before the numbers wrapped
        channel = self._add(Channel(self, link, number, is_ours=True))
        channel.bind(handler)
        channel.send(message)
        return channel

    def accept(self, link: "Link", number: int) -> Channel:
        """Note a call that the other side starts on *link*."""
        return self._add(Channel(self, link, number, is_ours=False))

    def _add(self, channel: Channel) -> Channel:
        self.channels[channel.number] = channel
        if len(self.channels) == 1:
            self._tell_links()
        return channel

    def _tell_links(self) -> None:
        # All of them: a call whose link dies needs to know whether others are alive.
        for link in self.links:
            link.on_use_changed(in_use=bool(self.channels))

    def acknowledge(self, arrived: Iterable[Arrived]) -> None:
        """The other side says how far channels have arrived."""
        for one in arrived:
            channel = self.channels.get(one.channel)
            if channel is not None:
                channel.acknowledge(one)

    def on_unknown(self, message: ChannelUnknown) -> None:
        """The other side does not know a channel, or not any more."""
        channel = self.channels.get(message.channel)
        if channel is not None:
            channel.drop(CloseReason.LINK_LOST)

    def remove(self, channel: Channel) -> None:
        """Forget *channel*."""
        if self.channels.get(channel.number) is channel:
            del self.channels[channel.number]
            if not self.channels:
                self._tell_links()
        self._note_empty()

    def leave(self, link: "Link") -> None:
        """Note that *link* is gone; its channels that nobody moved are stranded."""
        self.links.discard(link)
        for channel in list(link.channels.values()):
            channel.strand()
        self._note_empty()

    def _note_empty(self) -> None:
        if not self.links and not self.channels:
            self._on_empty(self)


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
        self._last_number = LINK_CHANNEL

    def join(self, link: "Link", peer: Hello) -> ChannelTable:
        """Return the table that *link*, which is ready now, shares with others."""
        key = _key(peer)
        table = self._tables.get(key)
        if table is None:
            table = self._tables[key] = ChannelTable(
                peer,
                grace_s=self._grace_s,
                counters=self.counters,
                new_number=self._new_number,
                on_empty=self._forget,
            )
        table.links.add(link)
        link.on_use_changed(in_use=bool(table.channels))
        return table

    def close(self) -> None:
        """Drop every channel that is left."""
        for table in list(self._tables.values()):
            for channel in list(table.channels.values()):
                channel.drop(CloseReason.LINK_LOST)

    def _new_number(self) -> int:
        # One numbering for as long as the process lives: an agent may still keep a
        # channel of a table that is forgotten here.
        self._last_number = (self._last_number + 1) % SEQUENCE_MODULUS or 1
        return self._last_number

    def _forget(self, table: ChannelTable) -> None:
        key = _key(table.peer)
        if self._tables.get(key) is table:
            del self._tables[key]


def _key(peer: Hello) -> tuple[str, str]:
    return (peer.name, peer.instance)
