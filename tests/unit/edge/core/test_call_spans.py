"""The spans of a call: one for each thing that took time, under the right parent."""

from backhaul.core.span_names import SpanName
from edge.core.call_spans import StorySpan, spans_of
from edge.core.call_story import AudioSource, CallStory, LeaseAttempt, SessionPlace
from edge.core.routes import Candidate, RouteDecision, RouteReason

HOME = SessionPlace("us-east", "us-east-1", "quic", 0.0204)
AWAY = SessionPlace("eu-central", "")
SLOWER = RouteReason.SLOWER
REGION = Candidate("us-east", None, SLOWER, 32.0, 20.0, 2.0, 0.0, 10.0, 0.0, 5, 2)
DECISION = RouteDecision("desk", None, (REGION,), (RouteReason.CHOSEN,))


def test_a_decision_of_very_many_regions_is_cut() -> None:
    many = RouteDecision("desk", None, (REGION,) * 300, (SLOWER,) * 300)
    story = CallStory(now=10.0)
    story.leg.routed(10.0, many, now=10.0)
    (route,) = named(story, SpanName.ROUTE)
    reasons = route.attributes["warmline.route.reasons"]
    assert reasons == many.lines()[:32]


def spans(story: CallStory) -> dict[tuple[int, SpanName], StorySpan]:
    return {(one.leg, one.name): one for one in spans_of(story, now=100.0)}


def named(story: CallStory, name: SpanName) -> list[StorySpan]:
    return [one for one in spans_of(story, now=100.0) if one.name is name]


def begun() -> CallStory:
    story = CallStory(now=10.0)
    story.leg.routed(10.0, DECISION, now=10.0001)
    story.leg.leased(LeaseAttempt(AWAY, "no_stock", 10.001, 10.002))
    story.leg.leased(LeaseAttempt(HOME, "warm", 10.002, 10.023, predicted_ms=32.04))
    story.answered(now=10.024)
    return story


def talking() -> CallStory:
    story = begun()
    story.stream_started(now=10.2)
    story.attaching(HOME, warm=True, now=10.2)
    story.audio(AudioSource.GREETING, now=10.201)
    story.attached(now=10.22)
    return story


def test_a_webhook_that_is_still_being_answered() -> None:
    (webhook,) = spans_of(CallStory(now=10.0), now=11.0)
    assert (webhook.name, webhook.start, webhook.end) == (SpanName.WEBHOOK, 10.0, 11.0)


def test_a_call_that_was_never_placed() -> None:
    story = CallStory(now=10.0)
    story.leg.routed(10.0, DECISION, now=10.0)
    story.ended("unplaced", now=10.5)
    told = spans(story)
    assert set(told) == {(1, SpanName.WEBHOOK), (1, SpanName.ROUTE)}
    webhook = told[1, SpanName.WEBHOOK]
    assert (webhook.end, webhook.error) == (10.5, "unplaced")
    assert told[1, SpanName.ROUTE].parent is SpanName.WEBHOOK


def test_a_call_that_was_answered() -> None:
    story = talking()
    story.ended("caller_hung_up", now=60.0)
    told = spans(story)
    webhook = told[1, SpanName.WEBHOOK]
    assert (webhook.start, webhook.end, webhook.error) == (10.0, 10.024, "")
    assert webhook.attributes == {"warmline.webhook.outcome": "placed"}
    route = told[1, SpanName.ROUTE]
    assert route.attributes == {"warmline.route.reasons": DECISION.lines()}
    stream = told[1, SpanName.STREAM_START]
    assert (stream.start, stream.end) == (10.024, 10.2)
    attach = told[1, SpanName.ATTACH]
    assert (attach.start, attach.end, attach.parent) == (10.2, 10.22, None)
    assert attach.attributes == {
        "warmline.region": "us-east",
        "warmline.agent": "us-east-1",
        "warmline.link.transport": "quic",
        "warmline.link.rtt_ms": 20.4,
        "warmline.session.warm": True,
    }
    first = told[1, SpanName.FIRST_AUDIO]
    assert (first.start, first.end) == (10.2, 10.201)
    assert first.attributes == {"warmline.audio.source": "greeting"}


def test_every_lease_that_was_asked_for() -> None:
    refused, granted = named(begun(), SpanName.LEASE)
    assert (refused.error, granted.error) == ("no_stock", "")
    assert refused.attributes == {
        "warmline.region": "eu-central",
        "warmline.agent": "",
        "warmline.lease.attempt": 1,
        "warmline.lease.cold": False,
        "warmline.lease.outcome": "no_stock",
        "warmline.route.predicted_ms": 0.0,
    }
    assert granted.attributes["warmline.route.predicted_ms"] == 32.0
    assert granted.parent is SpanName.WEBHOOK


def test_a_caller_on_hold() -> None:
    story = CallStory(now=10.0)
    story.answered(now=10.01)
    story.leg.routed(10.02, DECISION, now=10.02)
    story.leg.leased(LeaseAttempt(HOME, "cold", 10.02, 10.9, cold=True))
    told = spans(story)
    webhook = told[1, SpanName.WEBHOOK]
    assert webhook.attributes == {"warmline.webhook.outcome": "held"}
    assert (webhook.error, webhook.end) == ("", 10.01)
    # The search goes on behind the webhook's back.
    assert told[1, SpanName.LEASE].parent is None
    assert told[1, SpanName.ROUTE].parent is None


def test_a_session_that_never_took_the_call() -> None:
    story = begun()
    story.stream_started(now=10.2)
    story.attaching(HOME, warm=True, now=10.2)
    attach = spans(story)[1, SpanName.ATTACH]
    assert (attach.end, attach.error) == (10.2, "not_attached")


def test_sound_before_a_stream() -> None:
    story = CallStory(now=10.0)
    story.audio(AudioSource.SCRIPT, now=10.1)
    first = spans(story)[1, SpanName.FIRST_AUDIO]
    assert (first.start, first.end) == (10.0, 10.1)


def test_a_failover() -> None:
    story = talking()
    story.lost("session_lost", now=30.0)
    leg = story.next_leg(now=30.1)
    story.asked(now=30.1)
    leg.leased(LeaseAttempt(AWAY, "cold", 30.1, 30.4))
    story.answered(now=30.4)
    story.stream_started(now=30.5)
    story.attaching(AWAY, warm=False, now=30.5)
    story.attached(now=30.6)
    story.audio(AudioSource.MODEL, now=31.0)
    story.ended("model_hung_up", now=40.0)
    told = list(spans_of(story, now=100.0))
    failover = next(one for one in told if one.leg == 2)
    assert failover.name is SpanName.FAILOVER
    assert (failover.start, failover.end, failover.error) == (30.0, 40.0, "")
    assert failover.attributes == {
        "warmline.leg": 2,
        "warmline.failover.reason": "session_lost",
        "warmline.failover.gap_ms": 1000.0,
    }


def test_a_call_that_was_to_move_and_stayed_is_no_failure() -> None:
    story = talking()
    story.next_leg("draining", now=30.0)
    failover = spans(story)[2, SpanName.FAILOVER]
    assert failover.error == ""
    assert failover.attributes["warmline.failover.reason"] == "draining"


def test_a_call_that_was_moved_had_no_gap() -> None:
    story = talking()
    story.next_leg("session_expiring", now=30.0)
    story.attached(now=30.1)
    story.audio(AudioSource.MODEL, now=38.0)
    failover = spans(story)[2, SpanName.FAILOVER]
    assert "warmline.failover.gap_ms" not in failover.attributes


def test_another_session_while_the_stream_goes_on() -> None:
    story = talking()
    story.lost("link_lost", now=30.0)
    leg = story.next_leg(now=30.0)
    leg.leased(LeaseAttempt(AWAY, "warm", 30.1, 30.2))
    told = spans(story)
    assert (2, SpanName.WEBHOOK) not in told
    assert told[2, SpanName.LEASE].parent is None
    failover = told[2, SpanName.FAILOVER]
    assert (failover.end, failover.error) == (100.0, "link_lost")
    assert "warmline.failover.gap_ms" not in failover.attributes
