"""Which number a channel gets, and which table the links to a process share."""

from typing import cast

from backhaul.channel_table import ChannelTables
from backhaul.channels import Channel
from backhaul.core.frames import SEQUENCE_MODULUS, Frame
from backhaul.core.messages import (
    PROTOCOL_VERSION,
    CloseReason,
    Hello,
    Message,
    Open,
)
from backhaul.links import Link

FIRST = Hello(PROTOCOL_VERSION, "home-1", "home", instance="first")
SECOND = Hello(PROTOCOL_VERSION, "home-1", "home", instance="second")


class Wire:
    """A link that takes everything and says nothing."""

    def __init__(self, tables: ChannelTables, peer: Hello) -> None:
        self.channels: dict[int, Channel] = {}
        self.uses: list[bool] = []
        self.table = tables.join(self.link, peer)

    @property
    def link(self) -> Link:
        return cast("Link", self)

    def queue(self, frame: Frame) -> None:
        pass

    def on_use_changed(self, *, in_use: bool) -> None:
        self.uses.append(in_use)

    def open(self) -> Channel:
        return self.table.open(self.link, Nobody(), Open("1", "CA1", "desk"))


class Nobody:
    def on_audio(self, audio: bytes) -> None:
        pass

    def on_message(self, message: Message) -> None:
        pass

    def on_channel_closed(self, reason: CloseReason) -> None:
        pass


async def test_a_process_never_gives_two_channels_the_same_number() -> None:
    tables = ChannelTables(grace_s=0)
    one, other = Wire(tables, FIRST), Wire(tables, SECOND)
    numbers = [wire.open().number for wire in (one, other, one)]
    one.table.leave(one.link)
    numbers.append(Wire(tables, FIRST).open().number)
    assert numbers == [1, 2, 3, 4]


async def test_numbers_begin_anew_when_all_were_given_and_pass_over_those_in_use() -> (
    None
):
    tables = ChannelTables(grace_s=0)
    wire = Wire(tables, FIRST)
    old = wire.open()
    tables._last_number = SEQUENCE_MODULUS - 2
    assert wire.open().number == SEQUENCE_MODULUS - 1
    # 0 is the link's own, and 1 is still talking.
    assert wire.open().number == 2
    assert wire.table.channels[old.number] is old


async def test_a_table_that_is_left_does_not_take_its_successor_along() -> None:
    tables = ChannelTables(grace_s=0)
    old = Wire(tables, FIRST)
    channel = old.open()
    old.table.leave(old.link)
    new = Wire(tables, FIRST)
    assert new.table is not old.table
    channel.drop(CloseReason.LINK_LOST)  # once more, as its owner may
    assert Wire(tables, FIRST).table is new.table


async def test_a_channel_that_is_forgotten_twice_does_not_take_another_along() -> None:
    tables = ChannelTables(grace_s=0)
    wire = Wire(tables, FIRST)
    old = wire.table.accept(wire.link, 7)
    old.forget()
    new = wire.table.accept(wire.link, 7)
    old.forget()
    assert wire.table.channels == {7: new}
    assert wire.channels == {7: new}


async def test_every_link_hears_whether_there_are_calls() -> None:
    tables = ChannelTables(grace_s=0)
    used, spare, other = (
        Wire(tables, FIRST),
        Wire(tables, FIRST),
        Wire(tables, SECOND),
    )
    channels = [used.open(), used.open()]
    late = Wire(tables, FIRST)
    assert (used.uses, spare.uses, late.uses) == ([False, True], [False, True], [True])
    for channel in channels:
        used.table.remove(channel)
    assert spare.uses == [False, True, False]
    assert late.uses == [True, False]
    assert other.uses == [False]
