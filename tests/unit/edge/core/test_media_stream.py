"""Twilio Media Streams: every message Twilio may send, and many it must not."""

import base64
import json
from typing import Any

import pytest

from backhaul.errors import MediaStreamError
from edge.core.media_stream import (
    MediaStreamProtocol,
    StreamDtmf,
    StreamMark,
    StreamMedia,
    StreamStarted,
    StreamStopped,
)

AUDIO = bytes(range(160))


def start(**changes: Any) -> bytes:
    body = {
        "accountSid": "AC1",
        "callSid": "CA1",
        "streamSid": "MZ1",
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"one": "1"},
    } | changes
    message = {"event": "start", "sequenceNumber": "1", "streamSid": "MZ1"}
    return json.dumps(message | {"start": body}).encode()


def media(number: Any = "2", *, payload: Any = None, sid: str = "MZ1") -> bytes:
    encoded = base64.b64encode(AUDIO).decode() if payload is None else payload
    return json.dumps(
        {
            "event": "media",
            "sequenceNumber": number,
            "streamSid": sid,
            "media": {
                "track": "inbound",
                "chunk": "1",
                "timestamp": "5",
                "payload": encoded,
            },
        }
    ).encode()


def rare(event: str, body: dict[str, str]) -> bytes:
    message = {"event": event, "streamSid": "MZ1", "sequenceNumber": "3"}
    return json.dumps(message | {event: body}).encode()


def started(**options: Any) -> MediaStreamProtocol:
    protocol = MediaStreamProtocol(max_bad_frames=options.get("max_bad_frames", 3))
    protocol.receive(b'{"event":"connected","protocol":"Call","version":"1.0.0"}')
    protocol.receive(start())
    return protocol


def test_a_stream_from_connected_to_stop() -> None:
    protocol = MediaStreamProtocol(max_bad_frames=3)
    assert protocol.receive(b'{"event":"connected","protocol":"Call"}') is None
    assert not protocol.started
    assert protocol.receive(start()) == StreamStarted("MZ1", "CA1", "AC1", {"one": "1"})
    assert protocol.started
    assert protocol.receive(media()) == StreamMedia(AUDIO)
    dtmf = rare("dtmf", {"track": "inbound_track", "digit": "#"})
    assert protocol.receive(dtmf) == StreamDtmf("#")
    mark = rare("mark", {"name": "a"})
    assert protocol.receive(mark) == StreamMark("a")
    stop = rare("stop", {"accountSid": "AC1", "callSid": "CA1"})
    assert protocol.receive(stop) == StreamStopped()
    assert protocol.counters.media_received == 1


def test_what_is_played_is_a_media_message_of_this_stream() -> None:
    message = json.loads(started().encode_media(AUDIO))
    assert message == {
        "event": "media",
        "streamSid": "MZ1",
        "media": {"payload": base64.b64encode(AUDIO).decode()},
    }
    assert json.loads(started().encode_clear()) == {
        "event": "clear",
        "streamSid": "MZ1",
    }
    assert json.loads(started().encode_mark("1:160")) == {
        "event": "mark",
        "streamSid": "MZ1",
        "mark": {"name": "1:160"},
    }


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(start(), id="second start"),
        pytest.param(media(sid="MZ2"), id="another stream's media"),
    ],
)
def test_a_started_stream_is_closed_on(message: bytes) -> None:
    with pytest.raises(MediaStreamError):
        started().receive(message)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(media(), id="media before start"),
        pytest.param(
            start(
                mediaFormat={
                    "encoding": "audio/l16",
                    "sampleRate": 8000,
                    "channels": 1,
                }
            ),
            id="wrong codec",
        ),
        pytest.param(
            start(
                mediaFormat={
                    "encoding": "audio/x-mulaw",
                    "sampleRate": 16000,
                    "channels": 1,
                }
            ),
            id="wrong rate",
        ),
        pytest.param(start(mediaFormat="mulaw"), id="format of another shape"),
        pytest.param(start(callSid=7), id="callSid is a number"),
        pytest.param(start().replace(b'"MZ1"', b'""'), id="empty streamSid"),
    ],
)
def test_a_new_stream_is_closed_on(message: bytes) -> None:
    with pytest.raises(MediaStreamError):
        MediaStreamProtocol(max_bad_frames=3).receive(message)


def test_a_start_with_two_call_sids_closes_the_stream() -> None:
    twice = start().replace(b'"callSid"', b'"callSid":"CA2","callSid"')
    with pytest.raises(MediaStreamError):
        MediaStreamProtocol(max_bad_frames=3).receive(twice)


def test_nothing_may_follow_stop() -> None:
    protocol = started()
    protocol.receive(b'{"event":"stop","streamSid":"MZ1","sequenceNumber":"2"}')
    with pytest.raises(MediaStreamError):
        protocol.receive(media())


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(media(2), id="a number instead of a string"),
        pytest.param(media().replace(b'"chunk": "1", ', b""), id="no chunk"),
        pytest.param(media().replace(b'"chunk"', b'"more":{},"chunk"'), id="one more"),
        pytest.param(media().replace(b'"payload"', b'"payl\\u006fad"'), id="escaped"),
        pytest.param(media().replace(b"/", b"\\/"), id="escaped slashes"),
        pytest.param(media().replace(b'"track": "inbound", ', b""), id="no track"),
    ],
)
def test_media_of_another_shape_is_understood_as_well(message: bytes) -> None:
    assert started().receive(message) == StreamMedia(AUDIO)


def test_a_mark_of_another_shape_is_understood_as_well() -> None:
    mark = b'{"event":"mark","streamSid":"MZ1","mark":{"name":"\\u0061\\""}}'
    assert started().receive(mark) == StreamMark('a"')


BAD_FRAMES = [
    pytest.param(media(payload="@@@@"), id="no base64"),
    pytest.param(media(payload="abc"), id="odd length"),
    pytest.param(media(payload="ä"), id="not ASCII"),
    pytest.param(media(payload=""), id="no bytes"),
    pytest.param(media(payload=5), id="payload is a number"),
    pytest.param(
        media().replace(b'"inbound"', b'"outbound"'), id="the other direction"
    ),
    pytest.param(b'{"event":"media","streamSid":' + b"[" * 100_000, id="deep JSON"),
    pytest.param(b'{"event":"media","streamSid":NaN}', id="NaN"),
    pytest.param(media(payload="\ud800"), id="lone surrogate"),
    pytest.param(b'{"event":"mark","streamSid":"\xff"}', id="not UTF-8"),
    pytest.param(
        media().replace(b'"payload"', b'"payload":"AA==","payload"'), id="two payloads"
    ),
    pytest.param(
        media().replace(b'"streamSid"', b'"streamSid":"MZ1","streamSid"'),
        id="two streamSids",
    ),
    pytest.param(
        media().replace(b'"payload"', b'"payl\\u006fad":"AA==","payload"'),
        id="an escaped key",
    ),
    pytest.param(
        rare("mark", {"name": "a"}).replace(b'"name"', b'"name":"b","name"'),
        id="two names",
    ),
    pytest.param(
        media()
        .replace(b'"chunk": "1", ', b"")
        .replace(b'"payload"', b'"payload":"AA==","payload"'),
        id="two payloads instead of another key",
    ),
    pytest.param(b"", id="nothing"),
    pytest.param(b"[]", id="a list"),
    pytest.param(b'{"no":"event"}', id="no event"),
]


@pytest.mark.parametrize("message", BAD_FRAMES)
def test_a_bad_frame_is_dropped_and_counted_and_too_many_close(message: bytes) -> None:
    protocol = started(max_bad_frames=2)
    assert protocol.receive(message) is None
    assert protocol.receive(message) is None
    assert protocol.counters.frames_dropped == 2
    assert protocol.receive(media()) == StreamMedia(AUDIO)
    with pytest.raises(MediaStreamError):
        protocol.receive(message)


def test_an_unknown_event_is_counted_and_harmless() -> None:
    protocol = started()
    for _ in range(100):
        assert protocol.receive(b'{"event":"weather","streamSid":"MZ1"}') is None
    assert protocol.counters.unknown_events == 100
    assert protocol.receive(media()) == StreamMedia(AUDIO)


def test_disorder_is_tolerated_and_counted() -> None:
    protocol = started()
    for number in ("2", "5", "4", 6, "6", "x"):
        assert protocol.receive(media(number)) == StreamMedia(AUDIO)
    assert protocol.counters.sequence_gaps == 1
    assert protocol.counters.sequence_backwards == 2
