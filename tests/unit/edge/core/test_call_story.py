"""The story of a call: what counts, and what is too much."""

from edge.core.call_story import AudioSource, CallStory, LeaseAttempt, SessionPlace
from edge.core.routes import RouteDecision

HOME = SessionPlace("us-east", "us-east-1", "quic", 0.0204)


def test_only_the_first_of_each_counts() -> None:
    story = CallStory(now=10.0)
    assert story.leg.first_audio_s is None
    for at in (10.2, 11.0):
        story.stream_started(now=at)
    story.audio(AudioSource.GREETING, now=10.5)
    story.audio(AudioSource.MODEL, now=12.0)
    assert story.leg.stream_started_at == 10.2
    assert story.leg.source is AudioSource.GREETING
    assert story.leg.first_audio_s == 10.5 - 10.2


def test_sound_without_a_stream_has_no_delay() -> None:
    story = CallStory(now=10.0)
    story.audio(AudioSource.SCRIPT, now=10.1)
    assert story.leg.first_audio_s is None


def test_how_long_it_takes_to_attach() -> None:
    story = CallStory(now=10.0)
    assert story.leg.attach_s is None
    story.attaching(HOME, warm=True, now=10.2)
    assert story.leg.attach_s is None
    story.attached(now=10.25)
    assert story.leg.attach_s == 10.25 - 10.2
    assert (story.leg.place, story.leg.warm) == (HOME, True)


def test_a_leg_begins_when_the_one_before_is_lost() -> None:
    story = CallStory(now=10.0)
    story.lost("session_lost", now=30.0)
    story.lost("link_lost", now=31.0)
    leg = story.next_leg(now=30.5)
    assert leg is story.leg
    assert (leg.number, leg.began_at, leg.reason) == (2, 30.0, "session_lost")
    assert story.legs[0].ended_at == 30.0
    assert leg.gap_s is None
    story.asked(now=30.6)
    story.answered(now=30.7)
    assert (leg.asked_at, leg.was_answered(30.65), leg.was_answered(30.7)) == (
        30.6,
        False,
        True,
    )
    story.audio(AudioSource.MODEL, now=31.5)
    assert leg.gap_s == 1.5
    assert story.legs[0].gap_s is None
    story.ended("caller_hung_up", now=40.0)
    assert (story.ended_at, leg.ended_at) == (40.0, 40.0)


def test_a_stream_that_was_lost() -> None:
    story = CallStory(now=10.0)
    leg = story.next_leg(now=30.0)
    assert (leg.began_at, leg.reason) == (30.0, "stream_lost")


def test_a_story_does_not_grow_for_ever() -> None:
    story = CallStory(now=0.0)
    leg = story.leg
    for _ in range(100):
        leg.routed(0.0, RouteDecision("desk", None, (), ()), now=0.0)
        leg.leased(LeaseAttempt(HOME, "no_stock", 0.0, 0.0))
    assert (len(leg.routes), len(leg.leases)) == (16, 32)
    for _ in range(100):
        story.next_leg(now=1.0)
    assert len(story.legs) == 16


def test_a_call_that_another_edge_answered_begins_with_its_stream() -> None:
    story = CallStory(now=10.0)
    story.taken_over(answered_at=10.2)
    story.stream_started(now=10.5)
    assert (story.leg.asked_at, story.leg.answered_at) == (None, 10.2)
    assert story.leg.stream_started_at == 10.5
