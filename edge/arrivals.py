"""What a ticket says of a call, in the words of the edge that takes it over."""

from backhaul.clock import monotonic_s, unix_s
from edge.call_facts import Caller, CallTimes
from edge.core.call_story import Leg
from edge.core.routes import Choice
from edge.lease import Lease
from edge.links import AgentLinks
from edge.search import Attempt, Search
from edge.tickets import Ticket

__all__ = ["caller_of", "lease_of", "search_of", "times_of"]


def caller_of(ticket: Ticket) -> Caller:
    """Return who calls."""
    return Caller(
        ticket.caller, ticket.called, over_sip=ticket.over_sip, place=ticket.place
    )


def lease_of(ticket: Ticket, links: AgentLinks) -> Lease | None:
    """Return the session that is reserved for the call; None: no link leads to it."""
    agent = links.agent_of(ticket.instance)
    if agent is None:
        return None
    return Lease(ticket.lease_id, agent, ticket.instance, ticket.warm, ticket.epoch)


def search_of(ticket: Ticket, lease: Lease | None, *, leg: Leg) -> Search:
    """Return the search that has found *lease*; without one, a search of our own."""
    if lease is None:
        return Search(ticket.call_sid, ticket.profile, ticket.epoch + 1, leg=leg)
    choice = Choice(lease.agent.region, lease.agent.address, lease.warm, 0.0)
    leased_at = times_of(ticket).leased_at
    attempt = Attempt(
        choice,
        cold=not lease.warm,
        asked_at=leased_at or 0.0,
        answered_at=leased_at,
        outcome="warm" if lease.warm else "cold",
    )
    return Search(
        ticket.call_sid, ticket.profile, ticket.epoch, attempts=[attempt], leg=leg
    )


def times_of(ticket: Ticket) -> CallTimes:
    """Return when things happened; as exact as the clocks of both edges agree."""
    age_s = max(unix_s() - ticket.answered_unix_s, 0.0)
    webhook_at = monotonic_s() - age_s
    return CallTimes(webhook_at=webhook_at, leased_at=webhook_at + ticket.leased_s)
