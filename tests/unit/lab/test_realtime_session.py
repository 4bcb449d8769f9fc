import base64
import json
import random
from dataclasses import replace
from typing import Any

import pytest

from lab.realtime_events import RefusedEventError
from lab.realtime_faults import Fault, FaultPlan
from lab.realtime_record import Ledger
from lab.realtime_session import ExpireNow, MessageReceived, RealtimeSession
from lab.realtime_timeline import CloseSocket, Ids, RealtimeLatency, SendText
from lab.speech_files import all_lines, greeting_line, load_line

Json = dict[str, Any]
PCMU = {"type": "audio/pcmu"}
SLOW = replace(RealtimeLatency.none(), first_audio_s=(0.25, 0.25), audio_speed=4.0)


class Client:
    """Plays a client against a session core, with literal times."""

    def __init__(
        self,
        latency: RealtimeLatency | None = None,
        refusal: RefusedEventError | None = None,
    ) -> None:
        rng = random.Random(1)
        ids = Ids(rng)
        self.faults = FaultPlan()
        self.record = Ledger().open(ids.make("sess"), "gpt-realtime-2.1", now=0.0)
        self.closed: CloseSocket | None = None
        self.raw: list[bytes] = []
        self.session = RealtimeSession(
            record=self.record,
            ids=ids,
            rng=rng,
            latency=latency or RealtimeLatency.none(),
            connect_s=0.0,
            lifetime_s=3600.0,
            lines=all_lines(),
            faults=self.faults,
            refusal=refusal,
            now=0.0,
        )
        self.hello = self._take(self.session.expire(now=0.0))

    def at(self, now: float) -> list[Json]:
        """Return what is sent until *now*."""
        events: list[Json] = []
        while (due := self.session.next_deadline()) is not None and due <= now:
            events += self._take(self.session.expire(now=due))
        return events

    def send(self, event: Json | str | bytes, now: float = 0.0) -> list[Json]:
        data = json.dumps(event) if isinstance(event, dict) else event
        before = self.at(now)
        return before + self._take(self.session.handle(MessageReceived(data), now=now))

    def configure(self, **audio_input: Any) -> list[Json]:
        audio = {"input": {"format": PCMU, **audio_input}, "output": {"format": PCMU}}
        return self.update({"audio": audio})

    def update(self, session: Json, now: float = 0.0) -> list[Json]:
        update = {"type": "session.update", "session": {"type": "realtime", **session}}
        return self.send(update, now)

    def hear(self, audio: bytes, now: float = 0.0) -> list[Json]:
        data = base64.b64encode(audio).decode()
        return self.send({"type": "input_audio_buffer.append", "audio": data}, now)

    def say(self, now: float = 0.0, **response: Any) -> list[Json]:
        return self.send({"type": "response.create", "response": response}, now)

    def _take(self, actions: tuple[SendText | CloseSocket, ...]) -> list[Json]:
        events: list[Json] = []
        for action in actions:
            if isinstance(action, CloseSocket):
                self.closed = action
                continue
            self.raw.append(action.text)
            try:
                events.append(json.loads(action.text))
            except ValueError:
                events.append({"type": "(malformed)"})
        return events


def types(events: list[Json]) -> list[str]:
    """Return the event types, deltas that repeat only once."""
    kinds = [event.get("type", "(none)") for event in events]
    kinds = [kind for kind in kinds if kind != "response.output_audio_transcript.delta"]
    return [k for n, k in enumerate(kinds) if n == 0 or kinds[n - 1] != k]


def only(events: list[Json], kind: str) -> Json:
    (event,) = [event for event in events if event.get("type") == kind]
    return event


def error_of(events: list[Json]) -> Json:
    error: Json = only(events, "error")["error"]
    return error


def audio_of(events: list[Json]) -> bytes:
    kind = "response.output_audio.delta"
    deltas = [event["delta"] for event in events if event.get("type") == kind]
    return b"".join(map(base64.b64decode, deltas))


def utterance(name: str) -> bytes:
    return load_line(name).audio + b"\xff" * 8000


def test_a_session_begins_with_its_defaults() -> None:
    (created,) = Client().hello
    session = created["session"]
    assert created["type"] == "session.created"
    assert session["id"].startswith("sess_")
    assert session["object"] == "realtime.session"
    assert session["audio"]["input"]["turn_detection"]["type"] == "server_vad"


def test_an_update_is_sparse_and_answered_in_full() -> None:
    client = Client()
    client.update({"instructions": "Be brief."})
    (updated,) = client.configure(turn_detection=None)
    session = updated["session"]
    assert updated["type"] == "session.updated"
    assert session["instructions"] == "Be brief."
    assert session["audio"]["input"]["turn_detection"] is None
    assert session["audio"]["input"]["format"] == PCMU


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({"voice": "alloy"}, "unknown_parameter", "session.voice"),
        ({"modalities": ["text"]}, "unknown_parameter", "session.modalities"),
        ({"turn_detection": None}, "unknown_parameter", "session.turn_detection"),
        ({"temperature": 0.8}, "unknown_parameter", "session.temperature"),
        ({"type": "transcription"}, "invalid_value", "session.type"),
        ({"model": "gpt-realtime-2"}, "invalid_value", "session.model"),
        ({"instructions": 1}, "invalid_type", "session.instructions"),
        ({"output_modalities": ["audio", "text"]}, None, "session.output_modalities"),
        ({"max_output_tokens": 0}, None, "session.max_output_tokens"),
        (
            {"audio": {"input": {"format": {"type": "g711_ulaw"}}}},
            "invalid_value",
            "session.audio.input.format.type",
        ),
        (
            {"audio": {"input": {"format": {"type": "audio/pcmu", "rate": 8000}}}},
            "unknown_parameter",
            "session.audio.input.format.rate",
        ),
        (
            {"audio": {"output": {"voice": "nobody"}}},
            "invalid_value",
            "session.audio.output.voice",
        ),
        (
            {"audio": {"output": {"speed": 2}}},
            "decimal_above_max_value",
            "session.audio.output.speed",
        ),
    ],
)
def test_a_wrong_update_is_refused_whole(
    session: Json, code: str | None, param: str
) -> None:
    client = Client()
    before = dict(client.record.config)
    events = client.send(
        {
            "type": "session.update",
            "event_id": "mine",
            "session": {"type": "realtime", **session},
        }
    )
    error = error_of(events)
    assert len(events) == 1
    assert error["param"] == param
    assert error["event_id"] == "mine"
    assert error["type"] == "invalid_request_error"
    assert code is None or error["code"] == code
    assert client.record.config == before


def test_an_update_without_its_type_is_refused() -> None:
    error = error_of(Client().send({"type": "session.update", "session": {}}))
    assert error["code"] == "missing_required_parameter"
    assert error["param"] == "session.type"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", "invalid_json"),
        ("[" * 100_000, None),
        ('{"type":"session.update","session":NaN}', "invalid_json"),
        ("{}", "invalid_event"),
        ('{"type":"response.sing"}', "invalid_value"),
        ("[]", "invalid_type"),
        (b"\x00", "invalid_event"),
        ('{"type":"input_audio_buffer.append"}', "missing_required_parameter"),
        ('{"type":"input_audio_buffer.append","audio":"?"}', "invalid_value"),
        ('{"type":"output_audio_buffer.clear"}', "invalid_value"),
        ('{"type":"response.cancel"}', "response_cancel_not_active"),
        ('{"type":"input_audio_buffer.commit"}', "input_audio_buffer_commit_empty"),
        (
            '{"type":"conversation.item.delete","item_id":"x"}',
            "item_delete_invalid_item_id",
        ),
    ],
)
def test_a_wrong_event_is_an_error_and_the_session_goes_on(
    message: str | bytes, code: str | None
) -> None:
    client = Client()
    error = error_of(client.send(message))
    assert code is None or error["code"] == code
    assert types(client.update({"instructions": "still here"})) == ["session.updated"]


def test_a_spoken_turn_has_the_events_of_the_api_in_order() -> None:
    client = Client()
    client.configure(transcription={"model": "gpt-transcribe"})
    events = client.hear(utterance("caller-1"))
    assert types(events) == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "rate_limits.updated",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    heard = only(events, "conversation.item.input_audio_transcription.completed")
    said = only(events, "response.output_audio_transcript.done")
    assert heard["transcript"] == load_line("caller-1").text
    assert said["transcript"] == load_line("reply-1").text
    assert audio_of(events) == load_line("reply-1").audio
    assert client.record.heard.kept == utterance("caller-1")
    usage = only(events, "response.done")["response"]["usage"]
    assert usage["output_token_details"]["audio_tokens"] == 41
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_replies_come_in_turn() -> None:
    client = Client()
    client.configure()
    for number in (1, 2, 3, 4, 5, 6, 1):
        assert audio_of(client.say()) == load_line(f"reply-{number}").audio


def test_a_line_asked_for_word_for_word_is_spoken() -> None:
    client = Client()
    client.configure()
    wish = f"Say exactly: {greeting_line().text}"
    events = client.say(instructions=wish, conversation="none", metadata={"for": "me"})
    response = only(events, "response.done")["response"]
    assert audio_of(events) == greeting_line().audio
    assert response["conversation_id"] is None
    assert response["metadata"] == {"for": "me"}
    assert "conversation.item.added" not in types(events)
    assert client.record.conversation.items == []


def test_a_written_response_has_no_audio() -> None:
    client = Client()
    events = client.say(output_modalities=["text"])
    assert (
        only(events, "response.output_text.done")["text"] == load_line("reply-1").text
    )
    assert "response.output_audio.delta" not in types(events)


def test_audio_pcm_is_three_times_the_samples() -> None:
    assert len(audio_of(Client().say())) == len(load_line("reply-1").audio) * 6


def test_turns_in_pcm_are_refused_unless_manual() -> None:
    client = Client()
    assert error_of(client.hear(bytes(4800)))["code"] == "unsupported_by_stand_in"
    client.update({"audio": {"input": {"turn_detection": None}}})
    assert client.hear(bytes(4800)) == []
    committed = types(client.send({"type": "input_audio_buffer.commit"}))
    assert committed[0] == "input_audio_buffer.committed"


def test_a_manual_turn_is_answered_only_when_asked() -> None:
    client = Client()
    client.configure(turn_detection=None)
    assert client.hear(utterance("caller-2")) == []
    assert types(client.send({"type": "input_audio_buffer.commit"})) == [
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ]
    again = client.send({"type": "input_audio_buffer.commit"})
    assert error_of(again)["code"] == "input_audio_buffer_commit_empty"
    assert "response.done" in types(client.say())


def test_cleared_audio_is_not_committed() -> None:
    client = Client()
    client.configure(turn_detection=None)
    client.hear(utterance("caller-2"))
    (cleared,) = client.send({"type": "input_audio_buffer.clear"})
    assert cleared["type"] == "input_audio_buffer.cleared"
    error = error_of(client.send({"type": "input_audio_buffer.commit"}))
    assert error["code"] == "input_audio_buffer_commit_empty"


def test_without_create_response_a_turn_only_ends() -> None:
    client = Client()
    client.configure(turn_detection={"type": "server_vad", "create_response": False})
    assert types(client.hear(utterance("caller-1")))[-1] == "conversation.item.done"


def test_audio_comes_late_and_then_faster_than_real_time() -> None:
    client = Client(SLOW)
    client.configure()
    assert types(client.say(now=10.0)) == ["response.created", "rate_limits.updated"]
    assert client.at(10.24) == []
    assert len(audio_of(client.at(10.26))) == 1600
    assert len(audio_of(client.at(10.31))) == 1600
    assert types(client.at(12.0))[-1] == "response.done"
    (record,) = client.record.responses
    assert record.wire()["first_audio_ms"] == pytest.approx(250)


def test_only_one_response_at_a_time_writes_to_the_conversation() -> None:
    client = Client(SLOW)
    client.configure()
    client.say()
    error = error_of(client.say())
    assert error["code"] == "conversation_already_has_active_response"
    assert "response.created" in types(client.say(conversation="none"))


def test_an_interruption_cancels_the_response() -> None:
    client = Client(SLOW)
    client.configure()
    client.say()
    begun = client.at(0.3)
    events = client.hear(load_line("caller-1").audio, now=0.35)
    assert types(events)[1:] == [
        "input_audio_buffer.speech_started",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    response = only(events, "response.done")["response"]
    assert response["status"] == "cancelled"
    assert response["status_details"]["reason"] == "turn_detected"
    assert response["output"][0]["status"] == "incomplete"
    assert client.at(9.0) == []
    item_id = response["output"][0]["id"]
    heard_ms = len(audio_of(begun)) // 8
    truncate = {
        "type": "conversation.item.truncate",
        "item_id": item_id,
        "content_index": 0,
    }
    too_long = client.send({**truncate, "audio_end_ms": 5000}, now=9.0)
    assert "already shorter" in error_of(too_long)["message"]
    assert error_of(client.send({**truncate, "audio_end_ms": 0}, now=9.0))
    (truncated,) = client.send({**truncate, "audio_end_ms": heard_ms}, now=9.0)
    assert truncated["audio_end_ms"] == heard_ms
    retrieve = {"type": "conversation.item.retrieve", "item_id": item_id}
    (retrieved,) = client.send(retrieve, now=9.0)
    assert retrieved["item"]["content"] == [{"type": "output_audio"}]


def test_without_interrupt_response_the_response_goes_on() -> None:
    client = Client(SLOW)
    client.configure(turn_detection={"type": "server_vad", "interrupt_response": False})
    client.say()
    events = client.hear(utterance("caller-1"), now=0.3)
    assert error_of(events)["code"] == "conversation_already_has_active_response"
    assert only(client.at(9.0), "response.done")["response"]["status"] == "completed"


def test_a_cancelled_response_is_done_at_once() -> None:
    client = Client(SLOW)
    (_, created, _) = client.configure() + client.say()
    response_id = created["response"]["id"]
    cancel = {"type": "response.cancel", "response_id": response_id}
    response = only(client.send(cancel), "response.done")["response"]
    assert response["status_details"]["reason"] == "client_cancelled"
    assert response["output"] == []
    assert error_of(client.send(cancel))["code"] == "response_cancel_not_active"


def test_the_voice_is_fixed_by_the_first_audio() -> None:
    client = Client()
    client.configure()
    cedar = {"audio": {"output": {"voice": "cedar"}}}
    assert types(client.update(cedar)) == ["session.updated"]
    client.say()
    assert types(client.update(cedar)) == ["session.updated"]
    alloy = {"audio": {"output": {"voice": "alloy"}}}
    assert error_of(client.update(alloy))["code"] == "cannot_update_voice"
    assert error_of(client.say(audio=alloy["audio"]))["code"] == "cannot_update_voice"


def message(role: str, kind: str, text: str, **more: Any) -> Json:
    content = [{"type": kind, "text": text}]
    return {"type": "message", "role": role, "content": content, **more}


def create(item: Json, **more: Any) -> Json:
    return {"type": "conversation.item.create", "item": item, **more}


def test_a_conversation_can_be_seeded_in_any_order() -> None:
    client = Client()
    call = {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c"}
    output = {"type": "function_call_output", "call_id": "c", "output": "done"}
    for event in (
        create(message("user", "input_text", "Hi", id="u")),
        create(message("assistant", "output_text", "Hello", id="a")),
        create(
            message("system", "input_text", "Rules", id="s"), previous_item_id="root"
        ),
        create({**call, "id": "f"}, previous_item_id="u"),
        create({**output, "id": "o"}),
    ):
        assert types(client.send(event)) == [
            "conversation.item.added",
            "conversation.item.done",
        ]
    order = [item.item_id for item in client.record.conversation.items]
    assert order == ["s", "u", "f", "a", "o"]
    (deleted,) = client.send({"type": "conversation.item.delete", "item_id": "f"})
    assert deleted["item_id"] == "f"


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (
            create(message("user", "input_text", "x", id="u")),
            "item_create_duplicate_item_id",
        ),
        (create(message("assistant", "input_text", "x")), "invalid_value"),
        (create(message("assistant", "output_audio", "x")), "invalid_value"),
        (create(message("system", "output_text", "x")), "invalid_value"),
        (create(message("user", "text", "x")), "invalid_value"),
        (create(message("robot", "input_text", "x")), "invalid_value"),
        (
            create(message("user", "input_text", "x", id="i" * 33)),
            "string_above_max_length",
        ),
        (
            create({"type": "function_call_output", "call_id": "?", "output": ""}),
            "invalid_tool_call_id",
        ),
        (
            create(message("user", "input_text", "x"), previous_item_id="?"),
            "item_create_invalid_previous_item_id",
        ),
    ],
)
def test_a_wrong_item_is_refused(event: Json, code: str) -> None:
    client = Client()
    client.send(create(message("user", "input_text", "Hi", id="u")))
    assert error_of(client.send(event))["code"] == code
    assert len(client.record.conversation.items) == 1


def test_max_output_tokens_cuts_a_response() -> None:
    client = Client()
    client.configure()
    events = client.say(max_output_tokens=8)
    response = only(events, "response.done")["response"]
    assert len(audio_of(events)) == 3200
    assert response["status"] == "incomplete"
    assert response["status_details"]["reason"] == "max_output_tokens"


def test_a_silent_caller_is_spoken_to_after_the_idle_timeout() -> None:
    client = Client()
    client.configure(turn_detection={"type": "server_vad", "idle_timeout_ms": 5000})
    client.say(now=1.0)
    client.hear(b"\xff" * 8000, now=2.0)
    played_at = 1.0 + load_line("reply-1").duration_s
    assert client.at(played_at + 4.9) == []
    events = client.at(played_at + 5.1)
    assert types(events)[:2] == [
        "input_audio_buffer.timeout_triggered",
        "input_audio_buffer.committed",
    ]
    assert types(events)[-1] == "response.done"


def test_events_stay_in_order_behind_a_slow_update() -> None:
    latency = replace(RealtimeLatency.none(), session_update_s=(0.03, 0.03))
    client = Client(latency)
    assert client.update({"instructions": "x"}, now=1.0) == []
    assert client.send({"type": "response.cancel"}, now=1.0) == []
    assert types(client.at(1.03)) == ["session.updated", "error"]


def test_a_session_expires_and_closes() -> None:
    client = Client()
    assert client.at(3599.0) == []
    assert error_of(client.at(3600.0))["code"] == "session_expired"
    assert client.closed is not None
    assert client.closed.code == 1001
    assert client.send({"type": "response.create"}, now=3601.0) == []


def test_a_session_can_be_made_to_expire() -> None:
    client = Client()
    (sent, closed) = client.session.handle(ExpireNow(), now=5.0)
    assert isinstance(sent, SendText)
    assert isinstance(closed, CloseSocket)


def test_a_refused_session_says_why_and_closes() -> None:
    client = Client(refusal=RefusedEventError("model_not_found", "No such model."))
    assert error_of(client.hello)["code"] == "model_not_found"
    assert client.closed is not None
    assert client.closed.code == 4000


def test_faults_happen_as_often_as_planned() -> None:
    client = Client()
    client.configure()
    client.faults.plan(Fault.FAILED_RESPONSE, count=2, seconds=0)
    statuses = [
        only(client.say(), "response.done")["response"]["status"] for _ in "123"
    ]
    assert statuses == ["failed", "failed", "completed"]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.MALFORMED, "(malformed)"),
        (Fault.MALFORMED, "(none)"),
        (Fault.UNKNOWN_EVENT, "response.output_mood.delta"),
    ],
)
def test_a_fault_shows_among_the_events(fault: Fault, kind: str) -> None:
    client = Client()
    client.faults.plan(fault, count=1, seconds=0)
    kinds = types(client.say())
    assert kind in kinds
    assert kinds[-1] == "response.done"


def test_a_delta_can_follow_the_end() -> None:
    client = Client()
    client.faults.plan(Fault.DELTA_AFTER_DONE, count=1, seconds=0)
    last_two = [event["type"] for event in client.say()[-2:]]
    assert last_two == ["response.done", "response.output_audio.delta"]


def test_a_socket_can_close_half_way() -> None:
    client = Client()
    client.faults.plan(Fault.CLOSE_1011, count=1, seconds=0)
    client.configure()
    said = audio_of(client.say())
    assert 0 < len(said) < len(load_line("reply-1").audio)
    assert client.closed is not None
    assert client.closed.code == 1011


def test_the_first_audio_can_be_slow() -> None:
    client = Client()
    client.faults.plan(Fault.SLOW_FIRST_AUDIO, count=1, seconds=3.0)
    client.say()
    assert client.at(2.9) == []
    assert types(client.at(3.1))[-1] == "response.done"
