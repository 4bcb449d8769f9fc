from lab.model_script import ModelCall, ModelTurn
from lab.realtime_usage import total
from tests.unit.realtime_client import BOOK, Client, only


def test_usage_is_summed_field_by_field() -> None:
    usages = [
        {"type": "tokens", "total_tokens": 3, "details": {"text": 1}},
        {"type": "tokens", "total_tokens": 4, "details": {"text": 2, "audio": 5}},
    ]
    assert total(usages) == {"total_tokens": 7, "details": {"text": 3, "audio": 5}}
    assert total([]) == {}


def test_the_record_sums_what_every_response_said_it_cost() -> None:
    client = Client()
    client.configure()
    told = [only(client.say(), "response.done")["response"]["usage"] for _ in "123"]
    wire = client.record.wire()
    assert wire["usage"] == told
    assert wire["usage_total"] == total(told)
    assert wire["usage_total"].keys() == told[0].keys()
    assert wire["total_tokens"] == wire["usage_total"]["total_tokens"]


def test_arguments_are_text_that_the_model_wrote() -> None:
    client = Client()
    client.configure()
    client.update({"tools": [BOOK]})
    client.script(ModelTurn(calls=(ModelCall("book", "x" * 40),)))
    usage = only(client.say(), "response.done")["response"]["usage"]
    assert usage["output_token_details"] == {"text_tokens": 10, "audio_tokens": 0}
    after = only(client.say(), "response.done")["response"]["usage"]
    grown = after["input_tokens"] - usage["input_tokens"]
    assert grown == 10
