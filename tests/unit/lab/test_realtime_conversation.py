import pytest

from lab.speech_files import load_line
from tests.unit.realtime_client import (
    SLOW,
    Client,
    Json,
    answer,
    create,
    error_of,
    message,
    only,
    types,
)


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


def truncate(item_id: str, audio_end_ms: int, content_index: int = 0) -> Json:
    return {
        "type": "conversation.item.truncate",
        "item_id": item_id,
        "content_index": content_index,
        "audio_end_ms": audio_end_ms,
    }


def talking_client() -> tuple[Client, str]:
    """Return a client that has got 400 ms of a reply, and the id of its item."""
    client = Client(SLOW)
    client.configure()
    client.say()
    added = only(client.at(0.31), "response.output_item.added")
    return client, added["item"]["id"]


def test_only_what_was_generated_so_far_can_be_kept() -> None:
    client, item_id = talking_client()
    for wrong in (0, -1, 401):
        error = error_of(client.send(truncate(item_id, wrong), now=0.31))
        assert error["param"] == "audio_end_ms"
    (truncated,) = client.send(truncate(item_id, 400), now=0.31)
    assert truncated["audio_end_ms"] == 400


def test_a_truncated_item_never_grows_again() -> None:
    client, item_id = talking_client()
    client.send(truncate(item_id, 150), now=0.31)
    done = only(client.at(9.0), "response.done")["response"]
    assert error_of(client.send(truncate(item_id, 151), now=9.0))
    client.send(truncate(item_id, 100), now=9.0)
    (item,) = client.record.wire()["items"]
    generated_ms = load_line("reply-1").duration_s * 1000
    assert item["audio_ms"] == 100
    assert item["truncated_ms"] == [150, 100]
    assert item["truncated_at"] == [0.31, 9.0]
    assert item["generated_ms"] == pytest.approx(generated_ms)
    assert item["content"] == [{"type": "output_audio"}]
    # What was made is paid for; what is kept counts in the responses to come.
    assert done["usage"]["output_token_details"]["audio_tokens"] == 41
    client.say(now=9.0)
    again = only(client.at(19.0), "response.done")["response"]["usage"]
    assert again["input_token_details"]["audio_tokens"] == 2


def test_only_the_models_speech_can_be_truncated() -> None:
    client, item_id = talking_client()
    client.send(create(message("user", "input_text", "Hi", id="u")), now=0.31)
    client.send(create(message("assistant", "output_text", "Hi", id="a")), now=0.31)
    for wrong in (truncate("u", 10), truncate("a", 10), truncate(item_id, 10, 1)):
        assert error_of(client.send(wrong, now=0.31))["code"] == "invalid_value"
    unknown = error_of(client.send(truncate("nobody", 10), now=0.31))
    assert unknown["code"] == "item_truncate_invalid_item_id"


def test_the_record_keeps_what_was_deleted() -> None:
    client, item_id = talking_client()
    client.send({"type": "response.cancel"}, now=0.31)
    client.send({"type": "conversation.item.delete", "item_id": item_id}, now=0.5)
    told = client.record.wire()
    (deleted,) = told["deleted_items"]
    assert told["items"] == []
    assert deleted["id"] == item_id
    assert deleted["deleted_at"] == 0.5
    assert deleted["generated_ms"] == 400
    late = client.send(truncate(item_id, 100), now=0.6)
    assert error_of(late)["code"] == "item_truncate_invalid_item_id"


def test_an_output_cannot_answer_an_output() -> None:
    client = Client()
    call = {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c"}
    client.send(create({**call, "id": "f"}))
    client.send(answer("c"))
    client.send({"type": "conversation.item.delete", "item_id": "f"})
    assert error_of(client.send(answer("c")))["code"] == "invalid_tool_call_id"
