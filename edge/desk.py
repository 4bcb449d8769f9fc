"""Takes calls: finds each a session, or says how it goes on without one.

In order: a warm session of the best region, or of another one; a session that is opened
while the caller is on the line, with two more tries elsewhere; the profile's script; a
human. A caller never hears silence, and never waits in a queue. A full edge
gives new calls to other edges, or else has the carrier say the script.
"""

from collections.abc import Callable
from typing import Final

import structlog

from backhaul.clock import monotonic_s
from backhaul.core.close_reason import CloseReason
from edge import twiml
from edge.arrivals import caller_of, lease_of, search_of, times_of
from edge.call import Call
from edge.call_facts import Caller, CallTimes
from edge.call_help import CallHelp
from edge.call_session import CallSession
from edge.call_trace import CallTrace, CallTraces
from edge.calls import Calls
from edge.care import Cares
from edge.carrier_form import Action, Addresses, CarrierForm
from edge.cold_opens import ColdOpens
from edge.core.call_events import ChannelClosed, GivenUp, HandedOver, Resumed
from edge.core.call_machine import CallConfig
from edge.handover import HandOver
from edge.lease import Lease
from edge.links import AgentLinks
from edge.locate import CallerLocator
from edge.metrics import EdgeMetrics
from edge.neighbours import Neighbours
from edge.placement import COLD_TRIES, Placement
from edge.rescue import Rescue
from edge.search import Search
from edge.settings import EdgeSettings
from edge.tickets import TicketRefusal

__all__ = ["Desk"]

_MARGIN_S: Final = 3.0
"""Beyond what something should take (s); then the call goes on without it."""

_log = structlog.get_logger()


class Desk:
    """Where calls begin, and begin again after a failure.

    Attributes:
        placement: Finds sessions.
        draining: Whether no new call is given a session.
        neighbours: The other edges.
        hand_over: Gives them calls.
    """

    def __init__(
        self,
        settings: EdgeSettings,
        *,
        links: AgentLinks,
        calls: Calls,
        locator: CallerLocator,
        metrics: EdgeMetrics,
        traces: CallTraces,
        limit: Callable[[], int],
    ) -> None:
        self.draining = False
        self._limit = limit
        self._seeking = 0  # new calls for which a session is looked for
        self.neighbours = Neighbours(
            settings,
            agents=lambda: links.agents,
            is_draining=lambda: self.draining,
            room=lambda: self.room,
        )
        self.hand_over = HandOver(settings, neighbours=self.neighbours, metrics=metrics)
        self._locator = locator
        self._links = links
        self._settings = settings
        self._calls = calls
        self._metrics = metrics
        self._traces = traces
        self._phrasebook = links.phrasebook
        self._cares = Cares(settings)
        self.placement = Placement(
            settings, links=links, cares=self._cares, metrics=metrics
        )
        self._rescue = Rescue(settings, links=links, metrics=metrics)
        self._cold_opens = ColdOpens(self.placement)
        self._addresses = Addresses(settings.site)

    @property
    def room(self) -> int:
        """How many more new calls this edge takes."""
        return max(self._limit() - len(self._calls) - self._seeking, 0)

    async def aclose(self) -> None:
        """Stop all searches."""
        await self.neighbours.aclose()
        await self._cold_opens.aclose()

    async def take(self, form: CarrierForm, profile: str) -> str:
        """Return TwiML for a new call of *profile*."""
        times = CallTimes(webhook_at=monotonic_s())
        place = self._locator.locate(form)
        caller = Caller(form.caller, form.called, over_sip=form.over_sip, place=place)
        trace = self._traces.begin(now=times.webhook_at)
        search = Search(form.call_sid, profile, leg=trace.story.leg)
        if self.draining:
            return self._turn_away(search, caller, trace)
        # Whom another edge has failed may have talked already, and is never too many.
        if not (self.room or form.failed):
            return await self._send_on(search, caller, times=times, trace=trace)
        self._seeking += 1
        try:
            return await self._seek(
                form, profile, caller=caller, times=times, trace=trace
            )
        finally:
            self._seeking -= 1

    async def _seek(
        self,
        form: CarrierForm,
        profile: str,
        *,
        caller: Caller,
        times: CallTimes,
        trace: CallTrace,
    ) -> str:
        """Return TwiML for a new call, here or at the edge that suits it best."""
        leg = trace.story.leg
        if form.failed:  # the edge that was to have the call, perhaps
            self.hand_over.take_back(form.call_sid)
        edge = "" if form.failed else self.hand_over.choose(form.call_sid, caller.place)
        epoch = 2 if form.failed else 1
        search = Search(form.call_sid, profile, epoch, leg=leg, edge=edge)
        lease = await self.placement.warm(search)
        if lease is not None and edge:
            text = self.hand_over.give(
                edge, search, lease, caller=caller, times=times, trace=trace
            )
            if text is not None:
                return text
        if lease is None and edge:
            # Nobody has one for that edge: this one does what it can itself.
            search = Search(form.call_sid, profile, leg=leg)
            lease = await self.placement.warm(search)
        heard = form.failed and form.in_progress
        call = self._begin(
            search, lease, caller=caller, times=times, trace=trace, was_heard=heard
        )
        return self._turn_away(search, caller, trace) if call is None else call.twiml

    async def _send_on(
        self, search: Search, caller: Caller, *, times: CallTimes, trace: CallTrace
    ) -> str:
        """Return TwiML for a new call beyond the ceiling of this edge.

        Another edge has it, or else the carrier says the script: it costs nothing here,
        where every call more makes all others late.
        """
        tried: list[str] = []
        until = times.webhook_at + self._settings.webhook_budget_s
        choose = self.hand_over.choose
        while monotonic_s() < until:
            edge = choose(search.call_sid, caller.place, is_full=True, without=tried)
            if not edge:
                break
            tried.append(edge)
            search = Search(search.call_sid, search.profile, leg=search.leg, edge=edge)
            lease = await self.placement.warm(search)
            if lease is None:
                continue
            text = self.hand_over.give(
                edge, search, lease, caller=caller, times=times, trace=trace
            )
            if text is not None:
                self._metrics.over_ceiling.labels(outcome="given").inc()
                return text
            lease.release()
        # Whoever was tried has room, but there is no session for it.
        reason = "no_session" if tried else "no_room"
        self._metrics.over_ceiling.labels(outcome=reason).inc()
        _log.warning("call.turned_away", call_sid=search.call_sid, reason=reason)
        return self._turn_away(search, caller, trace)

    async def rescue(self, form: CarrierForm) -> str | None:
        """Return TwiML for a call of an edge that is gone; None: nobody knows of it."""
        times = CallTimes(webhook_at=monotonic_s())
        trace = self._traces.begin(now=times.webhook_at)
        rescued = await self._rescue.find(form.call_sid, leg=trace.story.leg)
        if rescued is None:
            return None
        self.hand_over.take_back(form.call_sid)
        mine = self._calls.get(form.call_sid)
        if mine is not None:  # it was answered too late, and never streamed
            mine.feed(ChannelClosed(CloseReason.STALE_EPOCH))
        search, lease = rescued.search, rescued.lease
        if lease is None:
            lease = await self.placement.warm(search)
        place = self._locator.locate(form)
        caller = Caller(form.caller, form.called, over_sip=form.over_sip, place=place)
        number = form.stream_number + 1
        call = self._begin(
            search, lease, caller=caller, times=times, trace=trace, number=number
        )
        if call is None:
            return self._turn_away(search, caller, trace)
        rescued.resume(call, number=number)
        return call.twiml

    def take_over(self, text: str) -> Call | TicketRefusal:
        """Return the call that another edge has answered and wrote a ticket for.

        Args:
            text: The ticket, as it came from the network.
        """
        ticket = self.hand_over.redeem(text)
        if isinstance(ticket, TicketRefusal):
            return ticket
        known = self._calls.get(ticket.call_sid) or self._calls.ended(ticket.call_sid)
        if known is not None:
            return TicketRefusal.USED
        lease, caller = lease_of(ticket, self._links), caller_of(ticket)
        times = times_of(ticket)
        trace = self._traces.begin(now=times.webhook_at, traceparent=ticket.traceparent)
        trace.story.taken_over(answered_at=times.webhook_at + ticket.leased_s)
        help_ = self._help(ticket.profile)
        session = CallSession(
            search_of(ticket, lease, leg=trace.story.leg),
            lease,
            caller=caller,
            help=help_,
            metrics=self._metrics,
            trace=trace,
        )
        call = self._new_call(
            session, caller=caller, times=times, help_=help_, token=text
        )
        self._calls.add(call)
        self._calls.take_token(text)  # it is used now
        return call

    def _begin(
        self,
        search: Search,
        lease: Lease | None,
        *,
        caller: Caller,
        times: CallTimes,
        trace: CallTrace,
        number: int = 1,
        was_heard: bool = False,
    ) -> Call | None:
        """Return a call that the carrier is told to stream; None: there is no hope."""
        help_ = self._help(search.profile)
        if lease is None and not (search.hopeful or help_.script_audio(search.profile)):
            return None
        times.leased_at = monotonic_s() if lease is not None else None
        session = CallSession(
            search,
            lease,
            caller=caller,
            help=help_,
            metrics=self._metrics,
            trace=trace,
        )
        session.was_heard = was_heard
        call = self._new_call(
            session,
            caller=caller,
            times=times,
            help_=help_,
            token=self._calls.siblings.new_token(),
            number=number,
        )
        self._calls.add(call)
        trace.story.answered(now=monotonic_s())
        return call

    def _turn_away(self, search: Search, caller: Caller, trace: CallTrace) -> str:
        """Return TwiML for a new call that is given no session, and none is sought."""
        facts = {
            "warmline.call_sid": search.call_sid,
            "warmline.profile": search.profile,
        }
        trace.end("unplaced", facts)
        return self._last_resort(search.profile, caller)

    async def take_again(self, call: Call, action: Action, number: int) -> str:
        """Return TwiML for a call whose session or stream is lost.

        Args:
            call: It is reconnecting.
            action: What the carrier asks.
            number: Which of the call's streams it asks about.
        """
        if not call.machine.may_resume or self.draining:
            return self._give_up(call, action, number)
        search = call.session.next_search(patient=call.session.was_heard)
        call.story.asked(now=monotonic_s())
        lease = await self.placement.warm(search)
        if not call.machine.may_resume:
            if lease is not None:
                lease.release()  # the caller hung up meanwhile
            return twiml.hang_up()
        has_script = call.help.script_audio(call.profile)
        if lease is None and not (search.hopeful or has_script):
            return self._give_up(call, action, number)
        token = self._calls.siblings.new_token()
        text = self._stream_twiml(
            token, call.session.trace, number=call.machine.streams + 1
        )
        call.story.answered(now=monotonic_s())
        self._calls.renew(call, token=token, twiml=text)
        call.feed(Resumed())
        call.session.renew(search, lease)
        return text

    def profile_unknown(self) -> str:
        """Return TwiML for a call to a number that is of no profile."""
        self._metrics.calls_placed.labels(step="unknown_number").inc()
        return twiml.reject()

    def goodbye(self) -> str:
        """Return TwiML for a call of which nothing is known."""
        return twiml.say_and_hang_up(self._settings.apology)

    def _new_call(
        self,
        session: CallSession,
        *,
        caller: Caller,
        times: CallTimes,
        help_: CallHelp,
        token: str,
        number: int = 1,
    ) -> Call:
        search = session.search
        return Call(
            call_sid=search.call_sid,
            profile=search.profile,
            caller=caller,
            session=session,
            token=token,
            twiml=self._stream_twiml(token, session.trace, number=number),
            config=self._call_config(),
            help=help_,
            metrics=self._metrics,
            on_ended=self._calls.remove,
            times=times,
        )

    def _call_config(self) -> CallConfig:
        settings = self._settings
        return CallConfig(
            token_ttl_s=settings.token_ttl_s,
            away_timeout_s=settings.away_timeout_s,
            hold_limit_s=COLD_TRIES * settings.open_timeout_s + _MARGIN_S,
        )

    def _help(self, profile: str) -> CallHelp:
        return CallHelp(self._cares.of(profile), self._phrasebook, self._cold_opens)

    def _give_up(self, call: Call, action: Action, number: int) -> str:
        """End a call for which there is no session; the caller is not left alone."""
        text = self._last_resort(
            call.profile, call.caller, script_heard=call.script_heard
        )
        call.note_answer(action, number, text)
        rings = bool(call.help.care.dial)
        call.feed(HandedOver() if rings else GivenUp())
        return text

    def _last_resort(
        self, profile: str, caller: Caller, *, script_heard: bool = False
    ) -> str:
        care = self._cares.of(profile)
        if not script_heard:
            self._metrics.calls_placed.labels(step="say").inc()
        if care.dial:
            self._metrics.calls_placed.labels(step="dial").inc()
        return twiml.last_resort(
            "" if script_heard else care.script,
            target=care.dial,
            rings_s=care.dial_timeout_s,
            shown_number=caller.shown_number,
            action_url=self._addresses.action(Action.FALLBACK, 1),
        )

    def _stream_twiml(self, token: str, trace: CallTrace, *, number: int) -> str:
        return twiml.connect_stream(
            self._addresses.stream(token),
            self._addresses.action(Action.RESUME, number),
            traceparent=trace.traceparent,
        )
