"""What has to change so that Twilio's numbers ring the fabric."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, cast
from urllib.parse import urlsplit, urlunsplit

__all__ = [
    "DEFAULT_RETRIES",
    "EGRESS_EDGES",
    "Change",
    "NumberPlan",
    "Retries",
    "Webhooks",
    "plan_number",
    "shown",
]

DEFAULT_RETRIES: Final = 2

EGRESS_EDGES: Final = (
    *("ashburn", "dublin", "frankfurt", "sao-paulo"),
    *("singapore", "sydney", "tokyo", "umatilla"),
)
"""From where Twilio can send its requests over the internet.

Source: https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides
"""


@dataclass(frozen=True, slots=True)
class Retries:
    """Connection overrides: how long Twilio waits for a webhook, and tries again.

    Left alone Twilio tries again only where it got no connection; an answer of 503
    or none at all ends the call.
    Source: https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides
    """

    count: int = DEFAULT_RETRIES
    connect_timeout_s: float = 2.0
    read_timeout_s: float = 4.0
    """Longer than an edge takes at most, short enough for every try within the 15 s
    that Twilio gives a webhook in all."""
    egress: tuple[str, ...] = ()
    """Where requests come from, in turn for every try; empty: from ashburn."""

    def fragment(self) -> str:
        """Return what is appended to a webhook's URL."""
        parts = [
            f"ct={self.connect_timeout_s * 1000:.0f}",
            f"rt={self.read_timeout_s * 1000:.0f}",
            f"rc={self.count}",
            "rp=all",
        ]
        if self.egress:
            parts.append(f"e={','.join(self.egress)}")
        return "#" + "&".join(parts)


@dataclass(frozen=True, slots=True)
class Webhooks:
    """What a number is pointed at."""

    base_url: str
    """Where Twilio reaches the edges, for example https://edge.example.com."""
    fallback_url: str
    """Where it goes when that fails: another such URL, or the whole URL of TwiML that
    somebody else serves."""
    retries: Retries = Retries()

    def settings(self) -> dict[str, str]:
        """Return a number's settings by their names in Twilio's API."""
        return {
            "voice_url": self._own(self.base_url, "/twilio/voice"),
            "voice_method": "POST",
            "voice_fallback_url": self._own(self.fallback_url, "/twilio/voice"),
            "voice_fallback_method": "POST",
            "status_callback": self._own(self.base_url, "/twilio/status"),
            "status_callback_method": "POST",
            # Either one takes calls away from the URLs above.
            "voice_application_sid": "",
            "trunk_sid": "",
        }

    def _own(self, base: str, path: str) -> str:
        has_path = urlsplit(base).path not in {"", "/"}
        whole = base if has_path else base.rstrip("/") + path
        return whole + self.retries.fragment()


@dataclass(frozen=True, slots=True)
class Change:
    """One setting that is not what it should be."""

    setting: str
    now: str
    then: str


@dataclass(frozen=True, slots=True)
class NumberPlan:
    """What is to be done about one number in one of Twilio's Regions."""

    region: str
    number: str
    sid: str = ""
    changes: tuple[Change, ...] = ()
    problem: str = ""
    """Why nothing can be done; empty if something can."""


def plan_number(
    region: str,
    number: str,
    found: Mapping[str, object] | None,
    webhooks: Webhooks,
) -> NumberPlan:
    """Return what has to change at *number*.

    Args:
        region: Twilio's Region; each has settings of its own for every number.
        number: In E.164.
        found: The number as Twilio has it; None: not in this account.
        webhooks: What it is to be pointed at.
    """
    if found is None:
        return NumberPlan(region, number, problem="not a number of this account")
    capabilities = cast("Mapping[str, object]", found.get("capabilities") or {})
    if not capabilities.get("voice", True):
        return NumberPlan(region, number, problem="takes no calls (no voice)")
    return NumberPlan(
        region,
        number,
        sid=str(found["sid"]),
        changes=tuple(_changes(found, webhooks.settings())),
    )


def _changes(found: Mapping[str, object], wanted: dict[str, str]) -> Iterator[Change]:
    if found.get("voice_receive_mode") == "fax":
        yield Change("voice_receive_mode", "fax", "voice")
    for setting, then in wanted.items():
        now = str(found.get(setting) or "")
        if now != then:
            yield Change(setting, now, then)


def shown(url: str) -> str:
    """Return *url* without what may be secret in it: its user and its query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(not a URL)"
    if not parts.scheme:
        return url
    host = parts.netloc.rpartition("@")
    netloc = f"***@{host[2]}" if host[0] else host[2]
    query = "***" if parts.query else ""
    return urlunsplit((parts.scheme, netloc, parts.path, query, parts.fragment))
