"""Region agents: production's pool, fence and conversation, in a thin shell."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backhaul.core.messages import (
    CloseReason,
    HandoverReason,
    KeptCall,
    LeaseGranted,
    LeaseRefused,
    LeaseRequest,
    Open,
    ProfileStock,
    Stock,
    Surge,
)
from backhaul.driver import Driver
from region_agent.core.attachment import AttachmentInput
from region_agent.core.conversation_events import (
    LeaveWanted,
)
from region_agent.core.departure import drained
from region_agent.core.open_limiter import OpenLimiter
from region_agent.core.pool_config import Capacity, PoolConfig
from region_agent.core.pool_events import (
    CallEnded,
    Drained,
    GrantLease,
    LeaseRedeemed,
    LeaseReleased,
    LeaseRequested,
    LeaseVoided,
    OpenFailed,
    OpenSession,
    PoolAction,
    PoolEvent,
    ProofGiven,
    ProveSession,
    RefuseLease,
    RetireSession,
    SessionClosed,
    SessionOpened,
    SessionStateChanged,
    SurgeOrdered,
)
from tests.simulation.bridge import Bridge
from tests.simulation.clock import Process
from tests.simulation.model import Session
from tests.simulation.network import Channel, Link
from tests.simulation.orphans import ORPHAN_GRACE_S, Orphans

if TYPE_CHECKING:
    from tests.simulation.world import World

PROFILE = "desk"
_COPY_EVERY_S = 1.0
_COPY_S = 0.002
"""Until the store has what is written at once."""
POOL = PoolConfig(
    floor=2,
    max_stock=5,
    proof_interval_s=10.0,
    lease_ttl_s=8.0,
    min_call_time_left_s=8.0,
    max_warm_age_s=40.0,
    replace_lead_s=5.0,
    max_concurrent_opens=4,
)
_ROLLOVER_LEAD_S = 6.0
_STOCK_SPACING_S = 0.05
_STOCK_EVERY_S = 2.0

FindAnswer = Callable[[Link, KeptCall | None], None]


@dataclass(slots=True)
class _Lease:
    link: Link
    request: LeaseRequest
    granted: bool = False


class Agent(Process):
    """One process of an agent."""

    def __init__(self, world: "World", address: str, region: str) -> None:
        super().__init__(world.clock)
        self.world = world
        self.address = address
        self.region = region
        self.instance = world.new_number("instance")
        self.model = world.models[region]
        self.links: list[Link] = []
        self.bridges: list[Bridge] = []
        self.leases: dict[str, _Lease] = {}
        self.sessions: dict[int, Session] = {}
        self.draining = False
        self._leave_by = 0.0
        self.orphans = Orphans(self)
        self.fence = world.machines.epoch_fence()
        self.capacity = Capacity(8, target=5)
        now = world.clock.now
        self.pool = world.machines.session_pool(
            config=POOL,
            capacity=self.capacity,
            limiter=OpenLimiter(opens_per_s=5.0, rng=world.rng, now=now),
            rng=world.rng,
            now=now,
        )
        self._opening: dict[int, None] = {}
        self._push_due = False
        self._pushed_at = 0.0
        self._driver: Driver[PoolEvent, PoolAction] = Driver(
            self.pool, self._perform, self
        )

    def start(self) -> None:
        self._driver.start()
        self.later(_STOCK_EVERY_S, self._push_forever)
        self.later(_COPY_EVERY_S, self._copy_forever)

    def kill(self) -> None:
        """SIGKILL: nobody says goodbye but the system."""
        self.alive = False
        new = {bridge.call_sid for bridge in self.bridges if bridge.is_new}
        self.world.faults.between_edges |= self.orphans.reserved() | new
        for session in list(self.sessions.values()):
            session.close()
        for link in list(self.links):
            link.break_off()

    def drain(self, timeout_s: float) -> None:
        """SIGTERM: no more leases; what is left after a while is handed back."""
        self.draining = True
        self._driver.feed(Drained())
        self._push_stock()
        now = self.clock.now
        self._leave_by = now + timeout_s
        bridges = list(self.bridges)
        leaving = drained(len(bridges), timeout_s=timeout_s, now=now)
        for bridge, wanted in zip(bridges, leaving, strict=True):
            bridge.leave(wanted)
        self.later(timeout_s, self._drained)

    def _drained(self) -> None:
        for bridge in list(self.bridges):
            bridge.close(CloseReason.DRAINED)

    # Links

    def on_link_ready(self, link: Link) -> None:
        self.links.append(link)
        self._tell(link, self._stock())
        self.orphans.tell(link.edge, AttachmentInput.EDGE_BACK)

    def on_link_lost(self, link: Link) -> None:
        if link in self.links:
            self.links.remove(link)
        for channel in link.channels:
            if channel.bridge is not None:
                self._strand(channel)
        if not self._is_linked(link):
            self.orphans.tell(link.edge, AttachmentInput.EDGE_LOST)
        self.later(ORPHAN_GRACE_S, lambda: self._release_orphans(link))

    def _is_linked(self, link: Link) -> bool:
        return any(one.edge is link.edge for one in self.links)

    def _strand(self, channel: Channel) -> None:
        lost = CloseReason.LINK_LOST
        self.later(ORPHAN_GRACE_S, lambda: channel.closed_at_agent(lost))

    def _release_orphans(self, link: Link) -> None:
        if not self._is_linked(link):
            for key, lease in list(self.leases.items()):
                if lease.link.edge is link.edge:
                    self._release(key)

    # Leases

    def request(self, link: Link, request: LeaseRequest) -> None:
        """An edge asks for a session."""
        self.world.checker.on_asked(self, request)
        if not self.fence.admit(request.call_sid, request.epoch):
            self._refuse(link, request.lease_id, CloseReason.STALE_EPOCH)
            return
        for key, lease in list(self.leases.items()):
            earlier = lease.request
            if earlier.call_sid == request.call_sid and earlier.epoch < request.epoch:
                self._release(key)
        key = request.lease_id
        if request.reattach:
            self._reattach(link, request)
            return
        self._release(key)
        self.leases[key] = _Lease(link, request)
        self._driver.feed(LeaseRequested(key, request.cold))

    def release(self, lease_id: str) -> None:
        """An edge gives a lease back."""
        self._release(lease_id)
        self.orphans.release(lease_id)

    def _reattach(self, link: Link, request: LeaseRequest) -> None:
        kept = self.orphans.reserve(request.lease_id, request)
        if kept is None:
            self._refuse(link, request.lease_id, CloseReason.LEASE_UNKNOWN)
            return
        self.world.checker.on_granted(self, request)
        granted = LeaseGranted(request.lease_id, warm=True, kept=kept)
        link.to_edge.send(lambda: link.edge.placement.on_lease_answer(link, granted))

    def find(self, link: Link, call_sid: str, answer: FindAnswer) -> None:
        """An edge asks for a call whose edge is gone."""
        kept = self.orphans.find(call_sid)
        if kept is None:
            kept = self.world.stores[self.region].get(call_sid)
        link.to_edge.send(lambda: answer(link, kept))

    def _copy_forever(self) -> None:
        self.later(_COPY_EVERY_S, self._copy_forever)
        for bridge in self.bridges:
            self._copy(bridge)

    def copy_soon(self, bridge: Bridge) -> None:
        """Write a call at once; see `region_agent.call_copies`."""
        self.later(_COPY_S, lambda: self._copy(bridge))

    def _copy(self, bridge: Bridge) -> None:
        self.world.stores[self.region][bridge.call_sid] = bridge.kept()

    def _release(self, key: str) -> None:
        if self.leases.pop(key, None) is not None:
            self._driver.feed(LeaseReleased(key))

    def _refuse(self, link: Link, lease_id: str, reason: CloseReason) -> None:
        refused = LeaseRefused(lease_id, reason)
        link.to_edge.send(lambda: link.edge.placement.on_lease_answer(link, refused))

    def _granted(self, lease_id: str, *, warm: bool) -> None:
        lease = self.leases[lease_id]
        lease.granted = True
        self.world.checker.on_granted(self, lease.request)
        granted = LeaseGranted(lease_id, warm)
        link = lease.link
        self.world.note("lease_granted", lease_id, self.address)
        link.to_edge.send(lambda: link.edge.placement.on_lease_answer(link, granted))

    # Calls

    def on_channel_opened(self, channel: Channel, message: Open) -> None:
        """A call begins, or goes on, here."""
        kept = self.orphans.take(channel, message)
        if kept is not None:
            self.world.checker.on_opened(kept)
            return
        session = self._redeem(message)
        if isinstance(session, CloseReason):
            channel.leave(session)
            return
        number, found = session
        bridge = Bridge(self, channel, found, message, number)
        self.bridges.append(bridge)
        self.world.checker.on_opened(bridge)
        bridge.start()
        self.orphans.begin(bridge)
        if self.draining:
            now, draining = self.clock.now, HandoverReason.DRAINING
            bridge.leave(LeaveWanted(draining, now, self._leave_by))
        self._stock_changed()

    def _redeem(self, message: Open) -> tuple[int, Session] | CloseReason:
        if self.fence.is_stale(message.call_sid, message.epoch):
            return CloseReason.STALE_EPOCH
        lease = self.leases.get(message.lease_id)
        if lease is None or lease.request.epoch != message.epoch:
            return CloseReason.LEASE_UNKNOWN
        number = self.pool.session_of(message.lease_id)
        if number is None:
            self._release(message.lease_id)
            return CloseReason.SESSION_LOST
        self._driver.feed(LeaseRedeemed(message.lease_id))
        del self.leases[message.lease_id]
        return number, self.sessions[number]

    def on_bridge_ended(self, bridge: "Bridge") -> None:
        self.bridges.remove(bridge)
        self.orphans.end(bridge)
        self._driver.feed(CallEnded(bridge.number))
        self._stock_changed()

    # Sessions

    def _perform(self, action: PoolAction) -> None:
        match action:
            case OpenSession(number):
                self._open(number)
            case ProveSession(number):
                self._prove(number)
            case RetireSession(number):
                self._retire(number)
            case GrantLease(lease_id, warm):
                self._granted(lease_id, warm=warm)
            case RefuseLease(lease_id, reason):
                lease = self.leases.pop(lease_id)
                self._refuse(lease.link, lease_id, reason)
            case LeaseVoided(lease_id):
                self.leases.pop(lease_id, None)
            case SessionStateChanged():
                self._stock_changed()

    def _prove(self, number: int) -> None:
        session = self.sessions.get(number)
        if session is not None:
            session.prove(lambda: self._driver.feed(ProofGiven(number)))

    def _retire(self, number: int) -> None:
        self._opening.pop(number, None)
        session = self.sessions.pop(number, None)
        if session is not None:
            session.close()

    def _open(self, number: int) -> None:
        self._opening[number] = None
        open_s = self.world.rng.uniform(0.25, 0.5) * self.model.slow
        self.later(open_s, lambda: self._opened(number))

    def _opened(self, number: int) -> None:
        if self._opening.pop(number, 0) == 0:
            return
        model = self.model
        if not model.up or model.limits_rate:
            again_s = 2.0 if model.limits_rate else None
            self._driver.feed(OpenFailed(number, model.limits_rate, again_s))
            return
        lost = self._loses(number)
        self.sessions[number] = session = Session(self.world, self, model, lost)
        self._driver.feed(SessionOpened(number, session.ends_at))

    def _loses(self, number: int) -> Callable[[], None]:
        def lose() -> None:
            session = self.sessions.pop(number, None)
            self._driver.feed(SessionClosed(number))
            if session is not None and session.bridge is not None:
                session.bridge.on_session_closed()

        return lose

    # Stock

    def order_surge(self, surge: Surge) -> None:
        """An edge asks for more sessions."""
        self._driver.feed(SurgeOrdered(surge.factor, surge.length_s))
        self._stock_changed()

    def _stock(self) -> Stock:
        pool = self.pool
        told = ProfileStock(
            pool.stock().verified,
            open_s=min(pool.open_s, 3600.0),
            first_audio_s=0.3,
            target=pool.demand.target,
        )
        return Stock(
            {PROFILE: told},
            active_calls=len(self.bridges),
            target_calls=self.capacity.target,
            max_calls=self.capacity.limit,
            draining=self.draining,
            surge=pool.demand.surge.factor,
        )

    def _stock_changed(self) -> None:
        if not self._push_due:
            self._push_due = True
            wait_s = self._pushed_at + _STOCK_SPACING_S - self.clock.now
            self.later(max(wait_s, 0.0), self._push_stock)

    def _push_stock(self) -> None:
        self._push_due = False
        self._pushed_at = self.clock.now
        stock = self._stock()
        for link in self.links:
            self._tell(link, stock)

    def _push_forever(self) -> None:
        self._push_stock()
        self.later(_STOCK_EVERY_S, self._push_forever)

    @staticmethod
    def _tell(link: Link, stock: Stock) -> None:
        link.to_edge.send(lambda: link.edge.on_stock(link, stock))
