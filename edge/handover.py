"""Hands a call's audio to the edge nearest to where it comes from, if that is another.

The edge that answered the webhook locates the caller, chooses the edge, and leases the
session that suits that edge best. The chosen edge makes the call from the ticket.
An edge that is full gives new calls to the nearest one that is not.
"""

from collections import OrderedDict
from collections.abc import Container
from dataclasses import dataclass
from typing import Final

import structlog

from backhaul.clock import monotonic_s, unix_s
from edge import twiml
from edge.call_facts import Caller, CallTimes
from edge.call_trace import CallTrace
from edge.carrier_form import Action, Addresses
from edge.core.caller_place import CallerPlace
from edge.core.edge_choice import EdgeOption, choose_edge
from edge.core.geography import distance_km
from edge.core.twilio_places import TWILIO_EDGES, TWILIO_REGIONS
from edge.lease import Lease
from edge.metrics import EdgeMetrics
from edge.neighbours import Neighbours, TellingAgent
from edge.search import Search
from edge.settings import EdgeSettings
from edge.tickets import Redeemed, Ticket, Tickets

__all__ = ["Given", "HandOver"]

_GIVEN_KEPT: Final = 65_536
"""Calls remembered after they were handed over, for the carrier's later requests."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Given:
    """A call that another edge was to take."""

    edge: str
    twiml: str
    lease: Lease


class HandOver:
    """Decides which calls another edge should have, and gives them to it."""

    def __init__(
        self,
        settings: EdgeSettings,
        *,
        neighbours: Neighbours,
        metrics: EdgeMetrics,
    ) -> None:
        """Hand calls to *neighbours*."""
        self._settings = settings
        self._neighbours = neighbours
        self._metrics = metrics
        region = TWILIO_REGIONS[settings.twilio_region]
        self._region = TWILIO_EDGES[region].place
        self._tickets = Tickets(
            (token.reveal() for token in settings.twilio_auth_tokens),
            edge=settings.name,
        )
        self._given: OrderedDict[str, Given] = OrderedDict()

    def choose(
        self,
        call_sid: str,
        place: CallerPlace,
        *,
        is_full: bool = False,
        without: Container[str] = (),
    ) -> str:
        """Return the edge that should have a new call, nothing if this one should.

        Args:
            call_sid: For the log.
            place: Where the caller probably is.
            is_full: Whether this edge has as many calls as it carries: any other one
                that has room should have it then.
            without: Edges that cannot have it.
        """
        own = self._settings.site.point
        full = self._neighbours.full()
        others = [
            one
            for one in self._neighbours.alive()
            if one.name not in full and one.name not in without
        ]
        if own is None or not others:
            return ""
        choice = choose_edge(
            EdgeOption(self._settings.name, own),
            others,
            region=self._region,
            caller=place,
            own_is_full=is_full,
        )
        _log.info(
            "call.edge_chosen",
            call_sid=call_sid,
            edge=choice.name,
            reasons=dict(choice.reasons),
            full=sorted(full),
        )
        if choice.name == self._settings.name:
            return ""
        # Before there is a session for it: others are chosen for meanwhile.
        self._neighbours.gave(choice.name)
        return choice.name

    def give(
        self,
        edge: str,
        search: Search,
        lease: Lease,
        *,
        caller: Caller,
        times: CallTimes,
        trace: CallTrace,
    ) -> str | None:
        """Return TwiML that brings the call to *edge*; None: it must stay here.

        Args:
            edge: Another one.
            search: What has found the session.
            lease: The session.
            caller: Who calls.
            times: When the webhook came.
            trace: What has happened so far; the other edge tells the rest.
        """
        if not self._neighbours.can_reach(edge, lease.agent):
            self._count("unreachable")
            return None
        ticket = self._ticket(
            search, lease, caller=caller, times=times, traceparent=trace.traceparent
        )
        text = self._tickets.seal(ticket, edge=edge)
        if text is None:
            self._count("too_long")
            return None
        addresses = Addresses(self._neighbours.sites[edge])
        answer = twiml.connect_stream(
            addresses.stream(text), addresses.action(Action.RESUME, 1)
        )
        self._given[search.call_sid] = Given(edge, answer, lease)
        if len(self._given) > _GIVEN_KEPT:
            self._given.popitem(last=False)
        self._count("given")
        trace.give(
            {
                "warmline.call_sid": search.call_sid,
                "warmline.profile": search.profile,
                "warmline.given_to": edge,
                **caller.place.facts(),
            }
        )
        return answer

    def given(self, call_sid: str) -> Given | None:
        """Return what became of a call that was handed over."""
        return self._given.get(call_sid)

    def where_now(self, call_sid: str, action: Action, number: int) -> str | None:
        """Return TwiML that leads a request to the edge that has the call, if any."""
        given = self._given.get(call_sid)
        alive = {option.name for option in self._neighbours.alive()}
        if given is None or given.edge not in alive:
            return None
        addresses = Addresses(self._neighbours.sites[given.edge])
        return twiml.redirect(addresses.action(action, number))

    def refuge(self, agent: TellingAgent) -> str:
        """Return the base URL of an edge that can take calls of *agent*, or nothing."""
        neighbours = self._neighbours
        full = neighbours.full()
        options = (
            (option.name in full, distance_km(self._region, option.place), option.name)
            for option in neighbours.alive()
            if neighbours.can_reach(option.name, agent)
        )
        best = min(options, default=None)
        if best is None:
            return self._settings.shared_url.rstrip("/")
        *_, name = best
        return neighbours.sites[name].public_base_url

    def call_off(self, call_sid: str) -> None:
        """The call is over: give its session back, unless it was redeemed."""
        given = self._given.get(call_sid)
        if given is not None:
            given.lease.release()

    def take_back(self, call_sid: str) -> None:
        """The other edge could not be reached: the call is this one's again."""
        self.call_off(call_sid)
        self._given.pop(call_sid, None)

    def redeem(self, text: str) -> Redeemed:
        """Return the ticket that another edge has made for this one, once."""
        redeemed = self._tickets.redeem(text, now=unix_s())
        if isinstance(redeemed, Ticket):
            self._count("arrived")
            _log.info(
                "call.arrived",
                call_sid=redeemed.call_sid,
                answered_by=redeemed.answered_by,
            )
        return redeemed

    def call_sid_of(self, text: str) -> str | None:
        """Return whose ticket *text* is; None: it is none for this edge."""
        return self._tickets.call_sid_of(text)

    def _ticket(
        self,
        search: Search,
        lease: Lease,
        *,
        caller: Caller,
        times: CallTimes,
        traceparent: str,
    ) -> Ticket:
        now_s, unix_now_s = monotonic_s(), unix_s()
        return Ticket(
            call_sid=search.call_sid,
            profile=search.profile,
            lease_id=lease.lease_id,
            instance=lease.instance,
            warm=lease.warm,
            epoch=lease.epoch,
            caller=caller.number,
            called=caller.called,
            over_sip=caller.over_sip,
            traceparent=traceparent,
            answered_by=self._settings.name,
            answered_unix_s=unix_now_s - (now_s - times.webhook_at),
            leased_s=now_s - times.webhook_at,
            expires_unix_s=unix_now_s + self._settings.token_ttl_s,
            place_source=caller.place.source,
            place_confidence=caller.place.confidence,
            country=caller.place.country,
            state=caller.place.state,
        )

    def _count(self, outcome: str) -> None:
        self._metrics.handovers.labels(outcome=outcome).inc()
