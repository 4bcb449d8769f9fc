"""What silence and length come to."""

from backhaul.core.messages import CloseReason
from backhaul.core.profile import CallLength, Profile, Silence
from region_agent.core.call_limits import CallLimits, Limit
from region_agent.core.conversation_events import EndCall, SilencePrompted
from region_agent.core.last_words import Pending

PROFILE = Profile(
    instructions="Be kind.",
    silence=Silence(after_s=5.0, prompts=1, prompt="Hello?", goodbye="Bye."),
    length=CallLength(max_s=100.0, warning_s=10.0, warning="Soon.", goodbye="Now."),
)
END = EndCall(CloseReason.MAX_DURATION)


def test_a_silent_caller_is_asked_and_left() -> None:
    limits = CallLimits(PROFILE, now=0.0)
    limits.silence.observe(quiet=True, now=1.0)
    assert limits.next_deadline() == 6.0
    assert limits.expire(now=5.9) == ()
    assert limits.expire(now=6.0) == (Limit("Hello?", (SilencePrompted(),)),)
    end = Pending(EndCall(CloseReason.SILENCE))
    assert limits.expire(now=11.0) == (Limit("Bye.", then=end),)


def test_a_long_call_is_warned_and_ended() -> None:
    limits = CallLimits(PROFILE, now=0.0)
    firm = Pending(END, may_be_cancelled=False)
    assert limits.expire(now=90.0) == (Limit("Soon."),)
    assert limits.expire(now=100.0) == (Limit("Now.", then=firm),)
    assert limits.expire(now=120.0) == (Limit(then=Pending(END), cuts=True),)
    assert limits.next_deadline() is None


def test_both_may_be_due_at_once() -> None:
    limits = CallLimits(PROFILE, now=0.0)
    limits.silence.observe(quiet=True, now=1.0)
    assert [limit.says for limit in limits.expire(now=95.0)] == ["Hello?", "Soon."]


def test_the_length_is_that_of_the_whole_call() -> None:
    limits = CallLimits(PROFILE, now=1000.0)
    limits.resume(elapsed_s=60.0, now=1000.0)
    assert limits.next_deadline() == 1030.0
    assert limits.elapsed_s(now=1001.0) == 61.0
