import pytest

from lab.realtime_faults import Fault
from lab.speech_files import greeting_line, load_line
from tests.unit.realtime_client import SLOW, Client, audio_of, error_of, only, types


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


def test_max_output_tokens_cuts_a_response() -> None:
    client = Client()
    client.configure()
    events = client.say(max_output_tokens=8)
    response = only(events, "response.done")["response"]
    assert len(audio_of(events)) == 3200
    assert response["status"] == "incomplete"
    assert response["status_details"]["reason"] == "max_output_tokens"


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
