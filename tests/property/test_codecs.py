"""Decoders: what goes in comes out, and nothing but a documented error escapes."""

import contextlib
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from backhaul.core.fragments import MessageAssembler
from backhaul.core.frames import SEQUENCE_MODULUS, Frame, FrameKind, encode_batch
from backhaul.core.frames import decode_batch as decode
from backhaul.core.messages import Message, decode_message, encode_message
from backhaul.errors import MediaStreamError, RemoteProtocolError
from edge.core.media_stream import MediaStreamProtocol
from edge.core.signature import (
    body_digest_matches,
    compute_signature,
    media_url_candidates,
    signature_matches,
    webhook_url_candidates,
)
from region_agent.core.realtime_events import audio_of, decode_event, usage_of
from tests.property.control_messages import counts, messages, words

# The machine that runs the tests may be busy with something else.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

numbers = st.integers(0, SEQUENCE_MODULUS - 1)
times = st.floats(allow_nan=False)

frames = st.builds(
    Frame, st.sampled_from(FrameKind), numbers, numbers, st.binary(max_size=400)
)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | counts | times | words,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4)
    ),
    max_leaves=12,
)
any_text = st.text(st.characters(), max_size=60)
"""Lone surrogates included: a header may hold them."""


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """Return something that was right until some of its bytes were changed."""
    payload = bytearray(draw(whole))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(payload)))
        end = draw(st.integers(start, min(start + 4, len(payload))))
        payload[start:end] = draw(st.binary(max_size=4))
    return bytes(payload)


def batch_of(given_frames: Sequence[Frame]) -> bytes:
    return encode_batch(given_frames)


# Frames and messages of links


@patient
@given(st.lists(frames, max_size=8))
def test_a_batch_gives_back_its_frames(given_frames: list[Frame]) -> None:
    assert decode(batch_of(given_frames)) == given_frames


@patient
@given(st.binary(max_size=200) | damaged(st.lists(frames, max_size=4).map(batch_of)))
def test_any_bytes_are_frames_or_a_protocol_error(batch: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        # What is accepted is exactly what its frames would be sent as.
        assert batch_of(decode(batch)) == batch


@patient
@given(st.lists(frames, min_size=1, max_size=4), st.data())
def test_a_cut_batch_loses_whole_frames_or_is_refused(
    given_frames: list[Frame], data: st.DataObject
) -> None:
    batch = batch_of(given_frames)
    cut = batch[: data.draw(st.integers(0, len(batch) - 1))]
    try:
        left = decode(cut)
    except RemoteProtocolError:
        return
    assert left == given_frames[: len(left)]


@patient
@given(messages)
def test_a_message_comes_back_as_it_was(message: Message) -> None:
    assert decode_message(encode_message(message)) == message


tagged = st.builds(
    lambda tag, fields: msgspec.msgpack.encode({**fields, "t": tag}),
    st.sampled_from(
        [
            *("hello", "hb", "hbr", "stock", "open", "close", "granted", "cleared"),
            *("checkpoint", 1),
        ]
    ),
    st.dictionaries(
        st.sampled_from(
            ["version", "name", "number", "warm", "reason", "lease_id", "items"]
        ),
        values,
    ),
)


@patient
@given(
    st.binary(max_size=100)
    | damaged(messages.map(encode_message))
    | values.map(msgspec.msgpack.encode)
    | tagged
)
@example(b"\x91" * 100_000)
def test_any_bytes_are_a_message_or_a_protocol_error(payload: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        message = decode_message(payload)
        again = decode_message(encode_message(message))
        assert repr(again) == repr(message)


# Media Streams

SID = "MZ0"
START = {
    "event": "start",
    "sequenceNumber": "1",
    "streamSid": SID,
    "start": {
        "callSid": "CA0",
        "accountSid": "AC0",
        "mediaFormat": {
            "encoding": "audio/x-mulaw",
            "sampleRate": 8000,
            "channels": 1,
        },
        "customParameters": {},
    },
}
MEDIA = {
    "event": "media",
    "sequenceNumber": "2",
    "streamSid": SID,
    "media": {"track": "inbound", "payload": "/w=="},
}
fields = st.sampled_from(
    ["event", "streamSid", "sequenceNumber", "start", "media", "dtmf", "mark", "stop"]
)
events = st.sampled_from(
    ["connected", "start", "media", "dtmf", "mark", "stop", "later"]
)
twilio_like = st.builds(
    lambda template, changes: msgspec.json.encode({**template, **changes}),
    st.sampled_from([START, MEDIA, {"event": "stop", "streamSid": SID}]),
    st.dictionaries(fields, values | events, max_size=3),
)
payloads = st.builds(
    lambda payload: msgspec.json.encode(
        {**MEDIA, "media": {"track": "inbound", "payload": payload}}
    ),
    words,
)
stream_messages = st.one_of(
    st.just(msgspec.json.encode(START)),
    st.just(msgspec.json.encode(MEDIA)),
    twilio_like,
    payloads,
    values.map(msgspec.json.encode),
    damaged(twilio_like),
    st.binary(max_size=60),
)


@patient
@given(st.lists(stream_messages, max_size=12), st.integers(0, 5))
@example([b"[" * 100_000, b'{"event":' * 100_000], 5)
@example([msgspec.json.encode(START | {"sequenceNumber": "9" * 5000})], 5)
@example([b'{"event":"start","streamSid":"\\ud800"}'], 5)
def test_any_messages_are_events_or_a_media_stream_error(
    received: list[bytes], max_bad_frames: int
) -> None:
    stream = MediaStreamProtocol(max_bad_frames=max_bad_frames)
    try:
        for message in received:
            stream.receive(message)
    except MediaStreamError:
        return
    assert stream.counters.frames_dropped <= max_bad_frames
    if stream.started:
        sent = msgspec.json.decode(stream.encode_media(b"\xff"))
        assert sent["event"] == "media"
        assert msgspec.json.decode(stream.encode_clear())["event"] == "clear"


# Realtime

realtime_like = st.builds(
    msgspec.json.encode,
    st.dictionaries(
        st.sampled_from(["type", "delta", "session", "error", "response", "item"]),
        values | st.sampled_from(["error", "response.output_audio.delta"]),
        max_size=5,
    ),
)


@patient
@given(
    st.one_of(
        st.binary(max_size=60),
        values.map(msgspec.json.encode),
        realtime_like,
        damaged(realtime_like),
    )
)
@example(b'{"type":' + b"[" * 100_000)
@example('{"type":"x","delta":"ü"}'.encode())
def test_any_bytes_are_a_realtime_event_or_a_protocol_error(message: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        event = decode_event(message)
        assert event.type
        audio_of(event)
        if event.response is not None:
            usage_of(event.response)


# Fragments


@patient
@given(st.lists(st.binary(max_size=20), min_size=1, max_size=20))
def test_fragments_make_the_message_they_were_cut_from(parts: list[bytes]) -> None:
    assembler = MessageAssembler(max_bytes=400, max_fragments=20)
    last = len(parts) - 1
    for _ in range(2):
        for number, part in enumerate(parts):
            whole = assembler.add(part, first=number == 0, final=number == last)
            assert whole == (b"".join(parts) if number == last else None)


@patient
@given(
    st.lists(
        st.tuples(st.binary(max_size=12), st.booleans(), st.booleans()), max_size=20
    ),
    st.integers(0, 30),
    st.integers(1, 5),
)
def test_no_fragments_get_around_the_bounds(
    given_frames: list[tuple[bytes, bool, bool]], max_bytes: int, max_fragments: int
) -> None:
    assembler = MessageAssembler(max_bytes=max_bytes, max_fragments=max_fragments)
    parts: list[bytes] | None = None
    for payload, first, final in given_frames:
        fits = first == (parts is None)
        parts = [*(parts or []), payload]
        size = sum(map(len, parts))
        if not fits or size > max_bytes or len(parts) > max_fragments:
            with pytest.raises(RemoteProtocolError):
                assembler.add(payload, first=first, final=final)
            return
        whole = assembler.add(payload, first=first, final=final)
        assert whole == (b"".join(parts) if final else None)
        parts = None if final else parts


# Signatures

KEYS = ("0123456789abcdef", "fedcba9876543210")
BASES = st.sampled_from(
    [
        "https://voice.example.com",
        "https://voice.example.com:443",
        "https://voice.example.com:8443",
        "https://voice.example.com/under/a/prefix",
    ]
)
pairs = st.lists(st.tuples(any_text, any_text), max_size=4)


@patient
@given(any_text, BASES, any_text, pairs)
@example("", "https://voice.example.com:8443", "http://evil.example/twilio/voice", [])
def test_no_header_or_target_makes_a_signature_check_fail_or_pass(
    header: str, base: str, target: str, parameters: list[tuple[str, str]]
) -> None:
    for candidates in (
        webhook_url_candidates(base, target),
        media_url_candidates(base, target),
    ):
        assert candidates[0].startswith(base)
        assert not signature_matches(
            header, keys=KEYS, candidates=candidates, parameters=parameters
        )


@patient
@given(BASES, any_text, pairs, st.sampled_from(KEYS), st.randoms())
def test_a_true_signature_matches_in_any_order_of_the_parameters(
    base: str, path: str, parameters: list[tuple[str, str]], key: str, rng: Any
) -> None:
    target = f"/twilio/voice?{path}"
    signature = compute_signature(key, base + target, parameters)
    rng.shuffle(parameters)
    assert signature_matches(
        signature,
        keys=KEYS,
        candidates=webhook_url_candidates(base, target),
        parameters=parameters,
    )


@patient
@given(any_text, st.binary(max_size=40))
@example("bodySHA256=\udc80", b"")
def test_no_query_makes_a_digest_check_fail_or_pass(query: str, body: bytes) -> None:
    assert not body_digest_matches(query, body)
    assert not body_digest_matches(f"bodySHA256={query}", body)
