"""The calls of one agent: each has a place on a link, and moves when it must."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import structlog

from backhaul.channels import Channel, ChannelHandler
from backhaul.clock import monotonic_s
from backhaul.core.messages import CloseReason, Open
from backhaul.links import Link
from edge.core.link_load import LinkStanding, MoveReason, PathQuality, calls_to_move
from edge.core.transport_choice import (
    ChoiceState,
    Measured,
    TransportChooser,
    TransportView,
)
from edge.link_pool import LinkPool
from edge.pooled_link import PooledLink

__all__ = ["Seat", "Seats"]

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Seat:
    """A call's place on a link."""

    pool: LinkPool
    pooled: PooledLink


class Seats:
    """Places of calls on the links to one agent.

    Attributes:
        pools: The links by transport, the preferred one first.
        chooser: Decides which transport calls use.
    """

    def __init__(
        self,
        address: str,
        *,
        patience_s: float,
        on_moved: Callable[[MoveReason], None],
        on_acquired: Callable[[float], None],
    ) -> None:
        """Make them without any link.

        Args:
            address: The agent's, for logs.
            patience_s: See `EdgeSettings.agent_patience_s`.
            on_moved: Hears of every call that moved.
            on_acquired: Hears how long it took a call to get a link, or none (s).
        """
        self.pools: tuple[LinkPool, ...] = ()
        self.chooser = TransportChooser()
        self._address = address
        self._patience_s = patience_s
        self._dark_since: float | None = None
        """Since when no link is usable, though there may be some."""
        self._on_moved = on_moved
        self._on_acquired = on_acquired
        self._seats: dict[Channel, Seat] = {}

    def __len__(self) -> int:
        return len(self._seats)

    # Taking and giving back

    def open_channel(
        self, handler: ChannelHandler, message: Open, *, instance: str
    ) -> Channel | None:
        """Start a call with the agent's process *instance*; None: no link is ready."""
        seat = self.acquire(instance)
        if seat is None:
            return None
        channel = seat.pooled.link.open_channel(handler, message)
        self._seats[channel] = seat
        return channel

    def release(self, channel: Channel) -> None:
        """A call is over; does nothing twice."""
        seat = self._seats.pop(channel, None)
        if seat is not None:
            seat.pool.release(seat.pooled)

    def acquire(self, instance: str) -> Seat | None:
        """Return a place on a link to the agent's process *instance*, if any."""
        asked_at = monotonic_s()
        seat = self._seat(instance)
        self._on_acquired(monotonic_s() - asked_at)
        return seat

    def _seat(self, instance: str, *, but: Link | None = None) -> Seat | None:
        pools = self._pools_best_first()
        for may_crowd in (False, True):
            for pool in pools:
                pooled = pool.acquire(instance, but=but, may_crowd=may_crowd)
                if pooled is not None:
                    return Seat(pool, pooled)
        return None

    def _seat_of_many(
        self, channel: Channel, pools: tuple[LinkPool, ...], but: Link
    ) -> Seat | None:
        """Return a place that is free: nothing is urgent."""
        for pool in pools:
            pooled = pool.acquire(channel.peer.instance, but=but)
            if pooled is not None:
                return Seat(pool, pooled)
        return None

    def _take(self, channel: Channel, seat: Seat, reason: MoveReason) -> None:
        old = self._seats.get(channel)
        self._seats[channel] = seat
        channel.move_to(seat.pooled.link)
        if old is not None:
            old.pool.release(old.pooled)
        self._on_moved(reason)

    # Looking after the links

    def check(self, now: float) -> None:
        """Look at every link: which stall, which transport is best, who must move."""
        for pool in self.pools:
            pool.look(now)
        seen = [pool.quality() for pool in self.pools]
        path = PathQuality(loss=max(quality.loss for quality in seen))
        for pool in self.pools:
            pool.set_uses(path)
        views = [
            TransportView(usable=bool(pool.usable), quality=quality)
            for pool, quality in zip(self.pools, seen, strict=True)
        ]
        standby = views[1] if len(views) > 1 else TransportView()
        for changed in self.chooser.handle(Measured(views[0], standby), now=now):
            _log.info(
                "agent.transport_changed",
                address=self._address,
                old=changed.old.value,
                new=changed.new.value,
                reason=changed.reason.value,
            )
        self._move_calls()
        self._give_up(now)

    @property
    def chosen(self) -> LinkPool:
        """The links that calls should use."""
        on_standby = self.chooser.state is ChoiceState.ON_STANDBY
        return self.pools[1 if on_standby else 0]

    def _pools_best_first(self) -> tuple[LinkPool, ...]:
        on_standby = self.chooser.state is ChoiceState.ON_STANDBY
        return self.pools[::-1] if on_standby else self.pools

    def usable_links(self) -> Iterator[Link]:
        """Yield every link that is ready and whose peer answers, the best first."""
        for pool in self._pools_best_first():
            yield from (pooled.link for pooled in pool.usable)

    def _give_up(self, now: float) -> None:
        """Send the calls elsewhere when the agent has answered nowhere for too long."""
        if any(pool.usable for pool in self.pools):
            self._dark_since = None
            return
        self._dark_since = now if self._dark_since is None else self._dark_since
        if self._seats and now - self._dark_since >= self._patience_s:
            _log.warning(
                "agent.given_up", address=self._address, calls=len(self._seats)
            )
            for channel in list(self._seats):
                channel.give_up(CloseReason.NO_ANSWER)

    def _move_calls(self) -> None:
        on_link: dict[PooledLink, list[Channel]] = {}
        for channel, seat in self._seats.items():
            on_link.setdefault(seat.pooled, []).append(channel)
        for pool in self.pools:
            draining = pool.draining()
            for pooled in list(pool.links.values()):
                channels = on_link.get(pooled, [])
                due = calls_to_move(
                    LinkStanding(
                        uses=len(channels),
                        max_uses=pooled.max_uses,
                        stalled=pooled.stalled,
                        draining=pooled.number in draining,
                        chosen=pool is self.chosen,
                    )
                )
                if due is not None:
                    reason, count = due
                    self._move(channels[:count], pool, pooled.link, reason)

    def _move(
        self, channels: list[Channel], pool: LinkPool, link: Link, reason: MoveReason
    ) -> None:
        """Move *channels* off *link*, as far as there is room for them."""
        pools = {
            MoveReason.SPREAD: (pool,),
            MoveReason.CHOICE: (self.chosen,),
        }.get(reason, self._pools_best_first())
        for channel in channels:
            if reason is MoveReason.STALL:
                seat = self._seat(channel.peer.instance, but=link)
            else:
                seat = self._seat_of_many(channel, pools, link)
            if seat is None:
                return
            self._take(channel, seat, reason)

    # When a link is gone

    def rescue(self, link: Link) -> None:
        """Move the calls of a link that is gone to others, or drop them."""
        for channel in list(link.channels.values()):
            if channel in self._seats:
                seat = self._seat(channel.peer.instance, but=link)
                if seat is None:
                    channel.drop(CloseReason.LINK_LOST)
                else:
                    self._take(channel, seat, MoveReason.LOST)
            else:
                self._carry_last_words(channel)

    def _carry_last_words(self, channel: Channel) -> None:
        """A channel that was closed lately may have words on their way."""
        links = self.usable_links()
        same = (one for one in links if one.peer.instance == channel.peer.instance)
        link = next(same, None)
        if link is not None:
            channel.move_to(link)
