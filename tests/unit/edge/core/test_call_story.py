"""The story of a call, and the spans that tell it."""

from backhaul.core.span_names import SpanName
from edge.core.call_story import (
    AudioSource,
    CallStory,
    LeaseAttempt,
    SessionPlace,
    StorySpan,
)

HOME = SessionPlace("us-east", "us-east-1", "quic", 0.0204)
AWAY = SessionPlace("eu-central", "eu-central-2")


def spans(story: CallStory) -> dict[tuple[int, SpanName], StorySpan]:
    return {(span.leg, span.name): span for span in story.spans(now=100.0)}


def placed(story: CallStory) -> CallStory:
    story.routed(10.0, ("us-east: 32 ms",), now=10.0001)
    story.leased(LeaseAttempt(AWAY, "no_stock", 10.001, 10.002))
    story.leased(LeaseAttempt(HOME, "warm", 10.002, 10.023))
    story.answered(now=10.024)
    return story


def answered(story: CallStory) -> CallStory:
    story.stream_started(now=10.2)
    story.attaching(HOME, warm=True, now=10.2)
    story.audio(AudioSource.GREETING, now=10.201)
    story.attached(now=10.22)
    return story


def test_a_call_that_was_never_placed() -> None:
    story = CallStory(now=10.0)
    story.routed(10.0, (), now=10.0)
    story.ended("no_stock", now=10.5)
    told = spans(story)
    webhook = told[1, SpanName.WEBHOOK]
    assert (webhook.start, webhook.end, webhook.error) == (10.0, 10.5, "unplaced")
    assert set(told) == {(1, SpanName.WEBHOOK), (1, SpanName.ROUTE)}


def test_a_webhook_that_is_still_being_answered() -> None:
    (webhook,) = CallStory(now=10.0).spans(now=11.0)
    assert (webhook.name, webhook.end) == (SpanName.WEBHOOK, 11.0)


def test_a_call_that_was_answered() -> None:
    story = answered(placed(CallStory(now=10.0)))
    story.ended("caller_hung_up", now=60.0)
    told = spans(story)
    assert {name for _, name in told} == {
        SpanName.WEBHOOK,
        SpanName.ROUTE,
        SpanName.LEASE,
        SpanName.STREAM_START,
        SpanName.ATTACH,
        SpanName.FIRST_AUDIO,
    }
    assert not any(span.error for span in told.values())
    assert told[1, SpanName.WEBHOOK].attributes == {
        "warmline.webhook.outcome": "placed"
    }
    route = told[1, SpanName.ROUTE]
    assert route.attributes == {"warmline.route.reasons": ("us-east: 32 ms",)}
    assert (route.parent, told[1, SpanName.ATTACH].parent) == (SpanName.WEBHOOK, None)
    stream = told[1, SpanName.STREAM_START]
    assert (stream.start, stream.end) == (10.024, 10.2)
    assert told[1, SpanName.ATTACH].attributes == {
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
    leases = [
        span
        for span in placed(CallStory(now=10.0)).spans(now=11.0)
        if span.name is SpanName.LEASE
    ]
    assert [span.error for span in leases] == ["no_stock", ""]
    assert [span.attributes["warmline.lease.attempt"] for span in leases] == [1, 2]
    assert "warmline.link.rtt_ms" not in leases[0].attributes


def test_a_session_that_never_took_the_call() -> None:
    story = placed(CallStory(now=10.0))
    story.stream_started(now=10.2)
    story.attaching(HOME, warm=True, now=10.2)
    assert story.leg.attach_s is None
    attach = spans(story)[1, SpanName.ATTACH]
    assert (attach.end, attach.error) == (10.2, "not_attached")


def test_sound_before_a_stream() -> None:
    story = CallStory(now=10.0)
    story.audio(AudioSource.FALLBACK, now=10.1)
    assert story.leg.first_audio_s is None
    first = spans(story)[1, SpanName.FIRST_AUDIO]
    assert (first.start, first.end) == (10.0, 10.1)


def test_only_the_first_counts() -> None:
    story = answered(placed(CallStory(now=10.0)))
    story.stream_started(now=11.0)
    story.audio(AudioSource.MODEL, now=12.0)
    assert story.leg.stream_started_at == 10.2
    assert (story.leg.first_audio_at, story.leg.source) == (
        10.201,
        AudioSource.GREETING,
    )
    assert story.leg.attach_s is not None
    assert story.leg.gap_s is None


def test_a_failover() -> None:
    story = answered(placed(CallStory(now=10.0)))
    story.lost("session_lost", now=30.0)
    assert story.leg.gap_s is None
    story.asked(now=30.1)
    story.leased(LeaseAttempt(AWAY, "cold", 30.1, 30.4))
    story.answered(now=30.4)
    story.stream_started(now=30.5)
    story.attaching(AWAY, warm=False, now=30.5)
    story.attached(now=30.6)
    story.audio(AudioSource.MODEL, now=31.0)
    story.ended("model_hung_up", now=40.0)
    failover = spans(story)[2, SpanName.FAILOVER]
    assert (failover.start, failover.end, failover.error) == (30.0, 40.0, "")
    assert failover.attributes == {
        "warmline.leg": 2,
        "warmline.failover.reason": "session_lost",
        "warmline.failover.gap_ms": 1000.0,
    }
    assert story.legs[0].ended_at == 30.0


def test_a_failover_that_came_to_nothing() -> None:
    story = answered(placed(CallStory(now=10.0)))
    story.lost("link_lost", now=30.0)
    told = spans(story)
    failover = told[2, SpanName.FAILOVER]
    assert (failover.end, failover.error) == (100.0, "link_lost")
    assert "warmline.failover.gap_ms" not in failover.attributes
    assert (2, SpanName.WEBHOOK) not in told


def test_a_story_does_not_grow_for_ever() -> None:
    story = CallStory(now=0.0)
    story.routed(0.0, ("x" * 1000,) * 1000, now=0.0)
    assert (len(story.leg.reasons), len(story.leg.reasons[0])) == (32, 160)
    for _ in range(100):
        story.leased(LeaseAttempt(AWAY, "no_stock", 0.0, 0.0))
    assert len(story.leg.leases) == 32
    for _ in range(100):
        story.lost("session_lost", now=1.0)
    assert len(story.legs) == 16
