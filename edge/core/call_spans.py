"""The spans that tell the story of a call."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from backhaul.core.span_names import Attributes, AttributeValue, SpanName
from edge.core.call_story import CallStory, Leg, SessionPlace

__all__ = ["StorySpan", "spans_of"]


_MAX_REASONS: Final = 32


@dataclass(frozen=True, slots=True)
class StorySpan:
    """A span of one leg."""

    name: SpanName
    leg: int
    start: float
    end: float
    attributes: Attributes
    parent: SpanName | None = None
    """Of the same leg; None: the leg's own span."""
    error: str = ""


def spans_of(story: CallStory, *, now: float) -> Iterator[StorySpan]:
    """Tell the call, but for its own span; what is not over yet ends *now*.

    Parents come before their children.
    """
    for leg in story.legs:
        yield from _spans_of_leg(leg, now)


def _spans_of_leg(leg: Leg, now: float) -> Iterator[StorySpan]:
    number = leg.number
    if number > 1:
        yield _failover(leg, now)
    if leg.asked_at is not None:
        yield _webhook(leg, leg.asked_at, now)
    yield from _search(leg)
    started_at = leg.stream_started_at
    if leg.answered_at is not None and started_at is not None:
        name = SpanName.STREAM_START
        yield StorySpan(name, number, leg.answered_at, started_at, {})
    if leg.attaching_at is not None and leg.place is not None:
        yield StorySpan(
            SpanName.ATTACH,
            number,
            leg.attaching_at,
            leg.attached_at or leg.attaching_at,
            _place(leg.place) | {"warmline.session.warm": leg.warm},
            error="" if leg.attached_at is not None else "not_attached",
        )
    if leg.first_audio_at is not None:
        yield StorySpan(
            SpanName.FIRST_AUDIO,
            number,
            started_at or leg.began_at,
            leg.first_audio_at,
            {"warmline.audio.source": leg.source.value},
        )


def _failover(leg: Leg, now: float) -> StorySpan:
    attributes: dict[str, AttributeValue] = {
        "warmline.leg": leg.number,
        "warmline.failover.reason": leg.reason,
    }
    if leg.gap_s is not None:
        attributes["warmline.failover.gap_ms"] = _ms(leg.gap_s)
    end = now if leg.ended_at is None else leg.ended_at
    failed = leg.attached_at is None and not leg.planned
    error = leg.reason if failed else ""
    name = SpanName.FAILOVER
    return StorySpan(name, leg.number, leg.began_at, end, attributes, error=error)


def _webhook(leg: Leg, asked_at: float, now: float) -> StorySpan:
    answered_at = leg.answered_at
    placed = any(
        one.granted and not leg.was_answered(one.answered_at) for one in leg.leases
    )
    outcome = "placed" if placed else "held"
    if answered_at is None:
        outcome = "unplaced"
    return StorySpan(
        SpanName.WEBHOOK,
        leg.number,
        asked_at,
        answered_at or leg.ended_at or now,
        {"warmline.webhook.outcome": outcome},
        error="unplaced" if outcome == "unplaced" else "",
    )


def _search(leg: Leg) -> Iterator[StorySpan]:
    def parent(at: float) -> SpanName | None:
        """Return the webhook, unless it was over or there was none."""
        within = leg.asked_at is not None and not leg.was_answered(at)
        return SpanName.WEBHOOK if within else None

    for route in leg.routes:
        yield StorySpan(
            SpanName.ROUTE,
            leg.number,
            route.began_at,
            route.ended_at,
            {"warmline.route.reasons": route.decision.lines()[:_MAX_REASONS]},
            parent(route.began_at),
        )
    for attempt, lease in enumerate(leg.leases, start=1):
        yield StorySpan(
            SpanName.LEASE,
            leg.number,
            lease.asked_at,
            lease.answered_at,
            _place(lease.place)
            | {
                "warmline.lease.attempt": attempt,
                "warmline.lease.cold": lease.cold,
                "warmline.lease.outcome": lease.outcome,
                "warmline.route.predicted_ms": round(lease.predicted_ms, 1),
            },
            parent(lease.asked_at),
            error="" if lease.granted else lease.outcome,
        )


def _place(place: SessionPlace) -> dict[str, AttributeValue]:
    found: dict[str, AttributeValue] = {
        "warmline.region": place.region,
        "warmline.agent": place.agent,
    }
    if place.transport:
        found["warmline.link.transport"] = place.transport
    if place.rtt_s is not None:
        found["warmline.link.rtt_ms"] = _ms(place.rtt_s)
    return found


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
