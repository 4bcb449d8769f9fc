"""How a conversation goes on: what is told to the session, and what is due."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from backhaul.core.checkpoint import (
    Called,
    CallerSaid,
    Checkpoint,
    Item,
    ModelSaid,
    Noted,
    Saying,
    VoiceProgress,
)
from backhaul.core.profile import Profile, Recording
from region_agent.core.conversation_events import SendEvent
from region_agent.core.playback import Playback
from region_agent.core.realtime_protocol import continue_reply, say_exactly
from region_agent.core.resumption import Remainder, Resumption, resumption, seed
from region_agent.core.tool_calls import ToolCalls
from region_agent.core.transcript import Transcript
from region_agent.core.voice_items import VoiceItems

GO_ON = Profile(instructions="Be kind.", greeting="Hello.")
REPEAT = Profile(instructions="Be kind.", after_failover="repeat")
ANNOUNCED = Profile(
    instructions="Be kind.", recording=Recording("/rec", announcement="Recorded.")
)
ASKED, SAID = CallerSaid("Hello?"), ModelSaid("Hello.")
OPEN = Called("c1", "book", "{}", key="k1")
ANSWERED = Called("c2", "look", "{}", "42", "k2")
WORDS = "one two three four"
SAYING = Saying(WORDS, 100, 900, whole=True)


def plan(
    *items: Item, voice: VoiceProgress | None = None, profile: Profile = GO_ON
) -> Resumption:
    given = voice or VoiceProgress()
    return resumption(Checkpoint(1, items), given, profile)


@pytest.mark.parametrize(
    ("items", "respond"),
    [
        ((), False),
        ((SAID,), False),
        ((ASKED, SAID), False),
        ((ModelSaid("Hel", heard_whole=False),), False),
        ((SAID, ASKED), True),
        ((SAID, Noted("Pressed 4.")), True),
        ((ASKED, ANSWERED), True),
        ((ASKED, OPEN), False),
    ],
)
def test_the_model_speaks_when_it_is_its_turn(
    items: tuple[Item, ...], respond: bool
) -> None:
    assert plan(*items).respond is respond
    assert plan(*items).items == items
    assert plan(*items).instructions == ""


@pytest.mark.parametrize(("items", "respond"), [((SAID,), True), ((SAID, SAID), False)])
def test_a_model_that_is_to_begin_does_so_after_an_announcement(
    items: tuple[Item, ...], respond: bool
) -> None:
    assert plan(*items, profile=ANNOUNCED).respond is respond
    shy = replace(ANNOUNCED, caller_speaks_first=True)
    assert not plan(*items, profile=shy).respond
    unannounced = replace(ANNOUNCED, recording=None)
    assert not plan(*items, profile=unannounced).respond


def test_calls_without_output_are_made_again_but_not_an_errand() -> None:
    assert plan(ASKED, OPEN, ANSWERED).calls == (OPEN,)
    away = Checkpoint(1, (ASKED, OPEN), errand="c1")
    assert resumption(away, VoiceProgress(), GO_ON).calls == ()


def test_a_reply_that_the_edge_got_whole_is_only_played_to_its_end() -> None:
    found = plan(ASKED, SAYING, voice=VoiceProgress(900, 300))
    assert found == Resumption((ASKED, Remainder(WORDS, 100, 800, cut=False)))


@pytest.mark.parametrize(
    ("saying", "position", "left", "instructions"),
    [
        # All of its text is known, so it is known what is missing.
        (
            SAYING,
            500,
            Remainder("one two", 100, 400, cut=True, unsaid="three four"),
            say_exactly("three four"),
        ),
        # The model was still speaking; more may have come than is known of.
        (
            Saying(WORDS, 100, 900, whole=False),
            1000,
            Remainder(WORDS, 100, 800, cut=True),
            continue_reply(GO_ON, WORDS),
        ),
        (
            Saying(WORDS, 100, 900, whole=False),
            500,
            Remainder("one two", 100, 400, cut=True),
            continue_reply(GO_ON, "one two"),
        ),
    ],
)
def test_the_model_goes_on_where_a_reply_was_cut(
    saying: Saying, position: int, left: Remainder, instructions: str
) -> None:
    found = plan(ASKED, saying, voice=VoiceProgress(position, 300))
    assert found == Resumption((ASKED, left), respond=True, instructions=instructions)


@pytest.mark.parametrize(
    ("saying", "instructions"),
    [
        (SAYING, say_exactly(WORDS)),
        (Saying(WORDS, 100, 900, whole=False), ""),
    ],
)
@pytest.mark.parametrize("heard", [300, 500])
def test_a_reply_that_was_cut_may_be_repeated(
    saying: Saying, instructions: str, heard: int
) -> None:
    found = plan(ASKED, saying, voice=VoiceProgress(500, heard), profile=REPEAT)
    assert found == Resumption(
        (ASKED,), clear=heard < 500, respond=True, instructions=instructions
    )


def test_a_cut_that_something_followed_is_no_more_than_what_was_heard() -> None:
    left = Remainder("one two", 100, 400, cut=True, unsaid="three four")
    found = plan(SAYING, ASKED, voice=VoiceProgress(500, 500))
    assert found == Resumption((left, ASKED), respond=True)


def test_a_reply_of_which_nothing_reached_the_edge_is_begun_anew() -> None:
    found = plan(ASKED, SAYING, voice=VoiceProgress(100, 100))
    assert found == Resumption((ASKED,), respond=True)


def test_what_nobody_knows_of_is_not_played_to_its_end() -> None:
    assert plan(ASKED, voice=VoiceProgress(900, 300)).clear
    assert not plan(ASKED, voice=VoiceProgress(900, 900)).clear
    assert plan(SAYING, ASKED, voice=VoiceProgress(1000, 900)).clear
    assert not plan(SAYING, ASKED, voice=VoiceProgress(1000, 899)).clear


@pytest.mark.parametrize(
    ("heard", "items"),
    [
        (900, (ModelSaid(WORDS),)),
        (500, (ModelSaid("one two", heard_whole=False),)),
        (50, ()),
    ],
)
def test_what_the_caller_cut_is_kept_as_it_was_heard(
    heard: int, items: tuple[Item, ...]
) -> None:
    voice = VoiceProgress(2000, 2000, cleared_at=900, cleared_heard=heard)
    assert plan(SAYING, voice=voice) == Resumption(items)


# Telling the session


def test_everything_is_told_in_order() -> None:
    voice, transcript = VoiceItems(Playback()), Transcript()
    tools = ToolCalls(GO_ON, transcript)
    left = Remainder("So", 0, 8, cut=True)
    items = (SAID, CallerSaid(), ANSWERED, OPEN, Noted("4."), SAYING, left)
    told: list[dict[str, Any]] = [
        json.loads(action.event)["item"]
        for action in seed(Resumption(items), voice, tools, transcript)
        if isinstance(action, SendEvent)
    ]
    assert [
        item.get("output") or item.get("name") or item["content"][0]["text"]
        for item in told
    ] == [
        "Hello.",
        "(The caller said something that was not written down.)",
        "look",
        "42",
        "book",
        "4.",
        WORDS,
        "So",
    ]
    assert [item.get("role", item["type"]) for item in told] == [
        *("assistant", "user", "function_call", "function_call_output"),
        *("function_call", "user", "assistant", "assistant"),
    ]
    assert tools.knows(OPEN)
    kept = transcript.checkpoint(elapsed_s=0.0)
    assert kept.items == (*items[:-1], Saying("So", 0, 8, whole=False))
