"""The Twilio stand-in: places calls on real sockets, as strict as the carrier.

Signs its webhooks, reads TwiML, streams speech in 20 ms frames on a steady clock and
plays what comes back at 8 kHz. Connection overrides in a webhook URL's fragment
(``#rc=2``) are not obeyed, and no caller ever hears a `<Play>`, `<Say>` or `<Dial>`:
they are facts in the report. Who answers a `<Dial>`, an `<Enqueue>` or a `<Refer>`
is part of the plan.
"""

import ssl

from backhaul.tasks import TaskOwner
from lab.media_clock import MediaClock
from lab.twilio_call import Call, Carrier
from lab.twilio_plan import CallPlan, Turn
from lab.twilio_report import CallReport
from lab.twilio_webhook import WebhookClient

__all__ = ["CallPlan", "CallReport", "Turn", "TwilioStandIn"]


class TwilioStandIn:
    """One Twilio account; make it inside a running event loop.

    All its calls share one 20 ms clock, so hundreds of them keep time together.
    """

    def __init__(
        self,
        account_sid: str,
        auth_token: str,
        *,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        clock = MediaClock()
        self._tasks = TaskOwner()
        self._tasks.spawn(clock.run(), name="twilio:clock")
        self._webhooks = WebhookClient(auth_token, ssl_context=ssl_context)
        self._carrier = Carrier(account_sid, self._webhooks, clock, ssl_context)

    async def place_call(self, plan: CallPlan) -> CallReport:
        """Call, talk as planned and hang up; what the peer does wrong is reported."""
        return await Call(plan, self._carrier).run()

    async def aclose(self) -> None:
        """Stop the clock and close every webhook connection; end the calls first."""
        await self._tasks.aclose()
        await self._webhooks.aclose()
