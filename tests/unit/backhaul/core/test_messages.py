"""Control messages: a round trip for each, and nothing else gets through."""

import math
from typing import get_args

import msgspec
import pytest

from backhaul.core.messages import (
    Arrived,
    ChannelUnknown,
    Clear,
    Cleared,
    Close,
    CloseReason,
    Digit,
    Flow,
    Greeting,
    Heartbeat,
    HeartbeatReply,
    Hello,
    LeaseGranted,
    LeaseRefused,
    LeaseRelease,
    LeaseRequest,
    Member,
    Members,
    Message,
    Moved,
    Open,
    Opened,
    Played,
    ProfileStock,
    Receipt,
    Returned,
    SendDigits,
    Stock,
    Transfer,
    TransferKind,
    decode_message,
    encode_message,
)
from backhaul.errors import RemoteProtocolError

MESSAGES: list[Message] = [
    Hello(version=1, name="edge-1", capabilities=("a",)),
    Heartbeat(1, Receipt(0.01, 0.001, 0.04), (Arrived(7, 2, 150),)),
    HeartbeatReply(1, 3),
    LeaseRequest("l1", "CA1", "front-desk", epoch=2, cold=True),
    LeaseGranted("l1", warm=True),
    LeaseRefused("l1", CloseReason.AT_CAPACITY),
    LeaseRelease("l1"),
    Greeting("front-desk", "Grüß Gott", b"\x00\xff" * 1000),
    Stock({"front-desk": ProfileStock(3, 0.4, 0.3)}, 2, 30, 50, draining=True),
    Members((Member("10.0.0.7:443", "home-1", {"front-desk": 3}, 2),)),
    Moved(Arrived(7, 2, 150)),
    ChannelUnknown(7),
    Open("l1", "CA1", "front-desk", 2, f"00-{1:032x}-{2:016x}-01"),
    Open("l1", "CA1", "front-desk", greeting_text="Hello", resumed=True),
    Opened("sess_1"),
    Clear(),
    Cleared(position=16_000, heard=8000),
    Played(16_000),
    Digit("#"),
    Flow(paused=True),
    Transfer(TransferKind.SIP, "sip:a@example.com", "Cake.", 20),
    SendDigits("1w2"),
    Returned("no-answer"),
    Close(CloseReason.SESSION_LOST, audio=150),
]


def beat(receipt: dict[str, float]) -> bytes:
    return msgspec.msgpack.encode({"t": "heartbeat", "number": 1, "receipt": receipt})


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_a_message_arrives_as_it_was_sent(message: Message) -> None:
    assert decode_message(encode_message(message)) == message


def test_every_kind_of_message_is_among_them() -> None:
    assert {type(message) for message in MESSAGES} == set(get_args(Message))


def test_a_newer_peer_may_say_more() -> None:
    payload = msgspec.msgpack.encode({"t": "opened", "session_id": "s", "new": [1]})
    assert decode_message(payload) == Opened("s")


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        b"\x91" * 10_000,
        msgspec.msgpack.encode({"t": "unheard-of"}),
        msgspec.msgpack.encode({"no": "tag"}),
        msgspec.msgpack.encode({"t": "opened", "session_id": 5}),
        msgspec.msgpack.encode({"t": "close", "reason": "because"}),
        beat({"loss": math.nan}),
        beat({"loss": 1.5}),
        beat({"late_p99_s": math.inf}),
        b"\x82\xa1t\xa6opened\xaasession_id\xa1\xff",
    ],
)
def test_anything_else_is_the_peers_fault(payload: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode_message(payload)
    assert str(caught.value) == "control message does not decode"
