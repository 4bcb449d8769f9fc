"""The official ``openai`` package judges every client event we can send."""

import json
from typing import Any, get_args

import pytest
from openai.types.realtime import RealtimeClientEvent, RealtimeServerEvent
from pydantic import BaseModel, TypeAdapter

from backhaul.core.profile import Profile, TurnDetection, VadKind
from backhaul.core.tools import Tool, TransferTarget
from lab.realtime_config import SessionConfig
from lab.realtime_events import parse_client_event
from lab.realtime_schema import UpdateSession
from region_agent.core.realtime_events import KNOWN_EVENTS
from region_agent.core.realtime_protocol import (
    append_audio,
    assistant_said,
    caller_said,
    cancel_response,
    continue_reply,
    create_response,
    delete_item,
    function_called,
    function_output,
    prove_session,
    say_exactly,
    truncate_item,
    update_session,
)

PROFILES = [
    Profile(instructions="Be kind."),
    Profile(
        instructions='Say "hi".\n☎',
        voice="cedar",
        turn_detection=TurnDetection(type=VadKind.SEMANTIC, eagerness="low"),
        noise_reduction="near_field",
        transcription_model="gpt-transcribe",
        speed=0.9,
        max_output_tokens=4096,
    ),
    Profile(
        instructions="Be brief.",
        turn_detection=TurnDetection(
            threshold=0.7, prefix_padding_ms=0, silence_duration_ms=200
        ),
        noise_reduction="far_field",
    ),
    Profile(
        instructions="Be quick.",
        turn_detection=TurnDetection(create_response=False, interrupt_response=False),
        tools=(
            Tool(name="now", description="The time.", url="https://example.com/now"),
            Tool(
                name="book",
                description="Books a table.",
                url="https://example.com/book",
                parameters={"type": "object", "properties": {"seats": {}}},
            ),
        ),
        transfers={"desk": TransferTarget(to="+14155550100")},
        may_dial_any_number=True,
        may_send_dtmf=True,
    ),
]

EVENTS = [
    *(update_session(profile) for profile in PROFILES),
    append_audio(b""),
    append_audio(bytes(range(256))),
    create_response(),
    create_response(say_exactly('Hello, "you".')),
    cancel_response("resp_1"),
    assistant_said("Hello.\n☎", "ours_1"),
    assistant_said("Hello again.", "ours_2", after="ours_1"),
    assistant_said("Hello before."),
    caller_said("Hello?"),
    caller_said(""),
    create_response(continue_reply(PROFILES[0], "Your table is")),
    function_called("call_1", "book", '{"seats":4}'),
    function_output("call_1", '{"ok": true}'),
    truncate_item("item_1", 1),
    delete_item("item_1"),
    prove_session(),
]


def models(union: Any) -> dict[str, type[BaseModel]]:
    """Return the models of an annotated union by the event type they stand for."""
    members: tuple[type[BaseModel], ...] = get_args(get_args(union)[0])
    return {
        get_args(model.model_fields["type"].annotation)[0]: model for model in members
    }


CLIENT_EVENTS = models(RealtimeClientEvent)


def undeclared(value: object) -> set[str]:
    """Return the fields that the package's models do not declare (they allow any)."""
    if isinstance(value, list):
        return set().union(*map(undeclared, value))
    if not isinstance(value, BaseModel):
        return set()
    declared = (getattr(value, name) for name in type(value).model_fields)
    return set(value.model_extra or {}).union(*map(undeclared, declared))


@pytest.mark.parametrize("event", EVENTS, ids=range(len(EVENTS)))
def test_every_client_event_fits_its_type(event: bytes) -> None:
    model = CLIENT_EVENTS[json.loads(event)["type"]]
    judged = TypeAdapter(model).validate_json(event, strict=True)
    assert not undeclared(judged)


@pytest.mark.parametrize("event", EVENTS, ids=range(len(EVENTS)))
def test_the_stand_in_takes_every_client_event(event: bytes) -> None:
    parsed = parse_client_event(event.decode())
    if isinstance(parsed, UpdateSession):
        config = SessionConfig("gpt-realtime-2.1")
        config.update(parsed.session, spoke=False, heard=False, responding=False)


def test_every_server_event_is_known() -> None:
    assert models(RealtimeServerEvent).keys() == KNOWN_EVENTS
    assert len(KNOWN_EVENTS) == 46
