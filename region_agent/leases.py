"""The leases that edges hold: asked for, answered, redeemed, given back."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from prometheus_client import Histogram

from backhaul.clock import monotonic_s
from backhaul.core.messages import (
    CloseReason,
    Hello,
    KeptCall,
    LeaseGranted,
    LeaseRefused,
    LeaseRequest,
    Open,
)
from backhaul.links import Link
from backhaul.recent import Recent
from region_agent.core.epoch_fence import EpochFence
from region_agent.realtime import RealtimeSession
from region_agent.sessions import ProfileSessions, Sessions

__all__ = ["Leases", "RedeemedLease"]


_WAIT_BOUNDS_S: Final = (
    *(0.000_05, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)


@dataclass(slots=True)
class _Lease:
    """A lease some edge holds or waits for."""

    link: Link
    request: LeaseRequest
    sessions: ProfileSessions
    asked_at: float
    granted: bool = False


@dataclass(frozen=True, slots=True)
class RedeemedLease:
    """The session behind a lease, which is a call's from now on."""

    sessions: ProfileSessions
    number: int
    session: RealtimeSession


class Leases:
    """Every lease of this agent (`LeaseAnswers`).

    A lease is for one call in one epoch. Whoever opens that call redeems it, also
    another edge than the one that asked: the carrier chooses where audio goes.

    Attributes:
        refused: Requests that were refused, by reason.
        acquired: How long it took lately to get a warm session (s).
        waits: How long requests waited that were granted.
    """

    def __init__(
        self,
        *,
        orphan_grace_s: float,
        is_linked: Callable[[Hello], bool],
        on_ended: Callable[[], None],
        reserve: Callable[[str, LeaseRequest], KeptCall | None],
        give_back: Callable[[str], None],
        fence: EpochFence,
    ) -> None:
        """Make it.

        Args:
            orphan_grace_s: How long a lease outlives its edge's links (s).
            is_linked: Tells whether an edge has any link.
            on_ended: Called when a lease is over.
            reserve: Takes a live call from its edge for another; see `Orphans.reserve`.
            give_back: Hears of leases that are not redeemed.
            fence: Refuses who comes too late.
        """
        self.refused: Counter[CloseReason] = Counter()
        self.acquired = Recent()
        self.waits = Histogram(
            "lease_wait_seconds",
            "From a request for a session to its grant, from stock (warm) or not.",
            ["profile", "warm"],
            buckets=_WAIT_BOUNDS_S,
            registry=None,
        )
        self._orphan_grace_s = orphan_grace_s
        self._is_linked = is_linked
        self._on_ended = on_ended
        self._reserve = reserve
        self._give_back = give_back
        self._sessions: Sessions
        self._fence = fence
        self._leases: dict[str, _Lease] = {}
        self._timers: dict[Hello, asyncio.TimerHandle] = {}
        self._loop = asyncio.get_running_loop()

    def __len__(self) -> int:
        """Return how many there are, those that wait for an answer included."""
        return len(self._leases)

    def start(self, sessions: Sessions) -> None:
        """Lease *sessions* from now on."""
        self._sessions = sessions

    def close(self) -> None:
        """Forget about edges that are gone."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def request(self, link: Link, request: LeaseRequest) -> None:
        """Answer *request* on *link*, now or soon."""
        sessions = self._sessions.by_profile.get(request.profile)
        if not self._fence.admit(request.call_sid, request.epoch):
            self._refuse(link, request.lease_id, CloseReason.STALE_EPOCH)
            return
        self._release_earlier(request)
        if request.reattach:
            self._reattach(link, request)
            return
        if sessions is None:
            self._refuse(link, request.lease_id, CloseReason.UNKNOWN_PROFILE)
            return
        key = _key(link.peer, request.lease_id)
        self._release(key)  # asked for twice; the first answer is void
        self._leases[key] = _Lease(link, request, sessions, monotonic_s())
        sessions.request(key, cold=request.cold)

    def release(self, peer: Hello, lease_id: str) -> None:
        """Take back what *peer* asked for; an unknown lease is no error."""
        key = _key(peer, lease_id)
        self._release(key)
        self._give_back(key)

    def redeem(self, peer: Hello, message: Open) -> RedeemedLease | CloseReason:
        """Return the session for the call that *message* opens, or why there is none.

        Args:
            peer: Who opens it.
            message: Names the lease; its call, epoch and profile must be the lease's.
        """
        if self._fence.is_stale(message.call_sid, message.epoch):
            return CloseReason.STALE_EPOCH
        key = self._find(peer, message)
        if key is None:
            return CloseReason.LEASE_UNKNOWN
        sessions = self._leases[key].sessions
        redeemed = sessions.redeem(key)
        if redeemed is None:
            self._release(key)
            return CloseReason.SESSION_LOST
        del self._leases[key]
        return RedeemedLease(sessions, *redeemed)

    def on_link_lost(self, peer: Hello) -> None:
        """An edge has lost its last link; another may get the calls that ring."""
        for key in self._keys_of(peer):
            if not self._leases[key].granted:
                self._release(key)  # nobody could hear the answer
        if self._keys_of(peer) and peer not in self._timers:
            self._timers[peer] = self._loop.call_later(
                self._orphan_grace_s, self._release_orphans, peer
            )

    # LeaseAnswers

    def on_lease_granted(self, lease_id: str, *, warm: bool) -> None:
        """A session is reserved; see LeaseAnswers."""
        lease = self._leases[lease_id]
        lease.granted = True
        waited_s = monotonic_s() - lease.asked_at
        labels = (lease.request.profile, str(warm).lower())
        self.waits.labels(*labels).observe(waited_s)
        if warm:
            self.acquired.add(waited_s)
        lease.link.send(LeaseGranted(lease.request.lease_id, warm))

    def on_lease_refused(self, lease_id: str, reason: CloseReason) -> None:
        """No session can be had; see LeaseAnswers."""
        lease = self._leases.pop(lease_id)
        self._refuse(lease.link, lease.request.lease_id, reason)

    def on_lease_ended(self, lease_id: str) -> None:
        """A lease is void; see LeaseAnswers."""
        self._leases.pop(lease_id, None)
        self._on_ended()

    def _reattach(self, link: Link, request: LeaseRequest) -> None:
        kept = self._reserve(_key(link.peer, request.lease_id), request)
        if kept is None:
            self._refuse(link, request.lease_id, CloseReason.LEASE_UNKNOWN)
        else:
            link.send(LeaseGranted(request.lease_id, warm=True, kept=kept))

    def _find(self, peer: Hello, message: Open) -> str | None:
        own = _key(peer, message.lease_id)
        fitting = [key for key, lease in self._leases.items() if _fits(lease, message)]
        return own if own in fitting else next(iter(fitting), None)

    def _refuse(self, link: Link, lease_id: str, reason: CloseReason) -> None:
        self.refused[reason] += 1
        link.send(LeaseRefused(lease_id, reason))

    def _release(self, key: str) -> None:
        lease = self._leases.pop(key, None)
        if lease is not None:
            lease.sessions.release(key)
            self._on_ended()

    def _release_earlier(self, request: LeaseRequest) -> None:
        """Take back what the same call was lent in an earlier epoch."""
        for key, lease in list(self._leases.items()):
            earlier = lease.request
            if earlier.call_sid == request.call_sid and earlier.epoch < request.epoch:
                self._release(key)

    def _release_orphans(self, peer: Hello) -> None:
        del self._timers[peer]
        if not self._is_linked(peer):
            for key in self._keys_of(peer):
                self._release(key)

    def _keys_of(self, peer: Hello) -> list[str]:
        return [key for key, one in self._leases.items() if one.link.peer == peer]


def _fits(lease: _Lease, message: Open) -> bool:
    asked = lease.request
    return (asked.lease_id, asked.call_sid, asked.profile, asked.epoch) == (
        message.lease_id,
        message.call_sid,
        message.profile,
        message.epoch,
    )


def _key(peer: Hello, lease_id: str) -> str:
    """Return what the pools call a lease: no process of an edge can touch another's."""
    return f"{peer.name}/{peer.instance}/{lease_id}"
