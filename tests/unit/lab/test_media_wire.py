import json

import pytest

from lab.media_wire import Clear, Mark, Media, MediaMessageError, MediaWire


def wire() -> MediaWire:
    return MediaWire(
        stream_sid="MZ1", call_sid="CA1", account_sid="AC1", parameters={"a": "b"}
    )


def test_connected_has_no_number_and_start_is_number_one() -> None:
    stream = wire()
    assert "sequenceNumber" not in json.loads(stream.connected())
    start = json.loads(stream.start())
    assert start["sequenceNumber"] == "1"
    assert start["start"]["customParameters"] == {"a": "b"}
    assert start["start"]["mediaFormat"]["sampleRate"] == 8000


def test_media_counts_chunks_and_milliseconds_as_strings() -> None:
    stream = wire()
    stream.start()
    first, second = (json.loads(stream.media(b"\xff" * 160)) for _ in range(2))
    assert (first["sequenceNumber"], second["sequenceNumber"]) == ("2", "3")
    assert (first["media"]["chunk"], second["media"]["chunk"]) == ("1", "2")
    assert (first["media"]["timestamp"], second["media"]["timestamp"]) == ("0", "20")
    assert first["media"]["payload"] == "/" * 213 + "w=="


def test_the_three_messages_of_the_peer_are_understood() -> None:
    stream = wire()
    media = b'{"event":"media","streamSid":"MZ1","media":{"payload":"AAEC"}}'
    assert stream.parse(media) == Media(b"\x00\x01\x02")
    mark = b'{"streamSid":"MZ1","mark":{"name":"m"},"event":"mark"}'
    assert stream.parse(mark) == Mark("m")
    assert stream.parse(b'{"event":"clear","streamSid":"MZ1"}') == Clear()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"event":"stop","streamSid":"MZ1"}',
        b'{"event":"clear"}',
        b'{"event":"clear","streamSid":"MZ2"}',
        b'{"event":"clear","streamSid":"MZ1","x":1}',
        b'{"event":"clear","streamSid":1}',
        b'{"event":"mark","streamSid":"MZ1","mark":{"name":""}}',
        b'{"event":"mark","streamSid":"MZ1","mark":{"name":1}}',
        b'{"event":"media","streamSid":"MZ1","media":{"payload":""}}',
        b'{"event":"media","streamSid":"MZ1","media":{"payload":"A"}}',
        b'{"event":"media","streamSid":"MZ1","media":{"payload":"AA=A"}}',
        b'{"event":"media","streamSid":"MZ1","media":{"payload":"A A="}}',
        b'{"event":"media","streamSid":"MZ1","media":{"payload":"\xc3\xbc"}}',
        b'{"event":"media","streamSid":"MZ1","media":{}}',
        b'{"event":"media","streamSid":"MZ1","media":{"payload":"AA==","track":"o"}}',
        b'{"a":' * 100_000,
    ],
)
def test_anything_else_is_an_invalid_message(text: bytes) -> None:
    with pytest.raises(MediaMessageError):
        wire().parse(text)
