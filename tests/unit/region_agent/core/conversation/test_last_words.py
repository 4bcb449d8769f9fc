"""What is done once the last words were heard."""

from backhaul.core.messages import Cleared, Played, Returned
from backhaul.core.tools import TransferTarget
from region_agent.core.conversation_events import (
    AudioEnded,
    CallerVoiced,
    ResponseBegan,
    ResponseEnded,
    SpeechStarted,
    ToolAnswered,
    ToolCalled,
)
from tests.unit.conversation_script import (
    LOOKUP,
    Step,
    Voice,
    conversation_of,
    goodbye,
    in_words,
    play,
    quiet_profile,
    run,
)

BUSY = '{"error":"something else is being done already"}'
SPOKE_FIRST = '{"error":"the caller spoke first, so it was not done; listen to them"}'
DESK = quiet_profile(
    transfers={"desk": TransferTarget(to="+14155550100")}, may_send_dtmf=True
)
TO_DESK = ToolCalled("c1", "transfer", '{"destination":"desk"}')


def announced(now: float, called: ToolCalled) -> list[Step]:
    return [
        (now, ResponseBegan("r1"), []),
        (now, Voice("r1", "i1", 8000), ["audio 8000"]),
        (now, AudioEnded("i1"), []),
        (now, called, []),
        (now, ResponseEnded("r1", "completed"), []),
    ]


def test_a_caller_is_transferred_when_the_words_were_heard() -> None:
    failed = 'output c1 {"error":"nobody could be reached: busy"}'
    run(
        [
            *announced(0.0, TO_DESK),
            (1.0, Played(8000), ["transfer to desk", "transfer +14155550100"]),
            (9.0, ToolCalled("c2", "hang_up", "{}"), [f"output c2 {BUSY}"]),
            (20.0, Returned("busy"), ["not transferred: busy", failed, "respond"]),
            (20.0, Returned("busy"), []),
        ],
        DESK,
    )


def test_nothing_is_said_to_a_caller_who_is_away() -> None:
    failed = 'output c1 {"error":"nobody could be reached: busy"}'
    run(
        [
            (0.0, ResponseBegan("r1"), []),
            (0.0, ToolCalled("c2", "lookup", "{}"), ["call c2 lookup {}"]),
            (0.0, TO_DESK, []),
            (
                0.1,
                ResponseEnded("r1", "completed"),
                ["transfer to desk", "transfer +14155550100"],
            ),
            (1.5, None, []),
            (2.0, ToolAnswered("c2", "42"), ["output c2 42"]),
            (20.0, Returned("busy"), ["not transferred: busy", failed, "respond"]),
            (21.0, ResponseBegan("r2"), []),
            (22.0, ResponseEnded("r2", "completed"), []),
        ],
        quiet_profile(tools=(LOOKUP,), transfers=DESK.transfers),
    )


def test_a_caller_who_speaks_first_is_not_transferred() -> None:
    run(
        [
            *announced(0.0, TO_DESK),
            (0.5, SpeechStarted(), ["clear", f"output c1 {SPOKE_FIRST}"]),
            (0.6, Cleared(8000, 4000), ["interrupted at 500", "truncate i1 at 500"]),
        ],
        DESK,
    )


def test_keys_are_sent_when_the_words_were_heard() -> None:
    run(
        [
            *announced(0.0, ToolCalled("c1", "send_dtmf", '{"digits":"1w2"}')),
            (1.0, Played(8000), ["send 1w2"]),
            (4.0, Returned("sent"), ['output c1 {"status":"sent"}', "respond"]),
        ],
        DESK,
    )


def test_the_model_hangs_up_when_its_last_words_were_heard() -> None:
    run(
        [
            *goodbye(0.0),
            (0.5, Played(4000), []),
            (1.0, Played(8000), ["end model_hung_up"]),
            (1.0, SpeechStarted(), []),
            (1.0, Voice("r1", "i1", 800), []),
            (99.0, None, []),
        ]
    )


def test_nothing_follows_the_end_of_a_call() -> None:
    conversation = conversation_of(quiet_profile(), {})
    play(conversation, goodbye(0.0))
    # That these words were heard is worth a checkpoint, if anything were to follow.
    (end,) = conversation.handle(Played(8000), now=1.0)
    assert in_words(end) == "end model_hung_up"


def test_a_caller_who_speaks_first_is_not_hung_up_on() -> None:
    run(
        [
            *goodbye(0.0),
            (0.5, SpeechStarted(), ["clear", f"output c1 {SPOKE_FIRST}"]),
            (0.6, Cleared(8000, 4000), ["interrupted at 500", "truncate i1 at 500"]),
            (30.0, None, []),
        ]
    )


def test_a_call_of_hang_up_that_comes_after_the_interruption_is_not_made() -> None:
    run(
        [
            (0.0, ResponseBegan("r1"), []),
            (0.0, Voice("r1", "i1", 8000), ["audio 8000"]),
            (0.5, SpeechStarted(), ["clear"]),
            (0.5, ToolCalled("c1", "hang_up", "{}"), [f"output c1 {SPOKE_FIRST}"]),
            (0.5, ResponseEnded("r1", "cancelled"), []),
            (0.6, Cleared(8000, 4000), ["interrupted at 500", "truncate i1 at 500"]),
        ]
    )


def test_a_caller_who_may_be_speaking_is_not_hung_up_on() -> None:
    run(
        [
            *goodbye(0.0),
            (0.9, SpeechStarted(), []),
            (1.0, Played(8000), []),
            (
                1.2,
                CallerVoiced(300.0),
                [f"output c1 {SPOKE_FIRST}"],
            ),
        ],
        quiet_profile(min_interruption_ms=300),
    )


def test_a_carrier_that_tells_nothing_does_not_keep_the_call_open() -> None:
    run([*goodbye(0.0), (20.9, None, []), (21.0, None, ["end model_hung_up"])])


def test_words_that_come_after_the_call_of_hang_up_are_heard_as_well() -> None:
    run(
        [
            (0.0, ResponseBegan("r1"), []),
            (0.0, ToolCalled("c1", "hang_up", "{}"), []),
            (0.0, Voice("r1", "i1", 240_000), ["audio 240000"]),
            (2.0, ResponseEnded("r1", "completed"), []),
            (21.0, Played(168_000), []),
            (30.0, Played(240_000), ["end model_hung_up"]),
        ]
    )


def test_hanging_up_twice_makes_the_model_say_nothing_more() -> None:
    run(
        [
            (0.0, ResponseBegan("r1"), []),
            (0.0, Voice("r1", "i1", 8000), ["audio 8000"]),
            (0.0, ToolCalled("c1", "hang_up", "{}"), []),
            (0.0, ToolCalled("c2", "hang_up", "{}"), [f"output c2 {BUSY}"]),
            (0.0, ResponseEnded("r1", "completed"), []),
            (1.0, Played(8000), ["end model_hung_up"]),
        ]
    )
