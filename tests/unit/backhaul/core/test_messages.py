"""Control messages: a round trip for each, and nothing else gets through."""

import math
from typing import get_args

import msgspec
import pytest

from backhaul.core.checkpoint import (
    MAX_CHECKPOINT_BYTES,
    MAX_ITEMS,
    Called,
    CallerSaid,
    Item,
    ModelSaid,
    Noted,
    Saying,
    VoiceProgress,
)
from backhaul.core.messages import (
    Arrived,
    ChannelUnknown,
    Checkpoint,
    Clear,
    Cleared,
    Close,
    CloseReason,
    Digit,
    Find,
    Flow,
    Found,
    Greeting,
    Handover,
    HandoverReason,
    Heartbeat,
    HeartbeatReply,
    Hello,
    Kept,
    KeptCall,
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
    Presence,
    PresentEdges,
    ProfileStock,
    Receipt,
    Returned,
    Script,
    SendDigits,
    Silent,
    Stock,
    Surge,
    Transfer,
    TransferKind,
    decode_message,
    encode_message,
)
from backhaul.errors import RemoteProtocolError

ITEMS: tuple[Item, ...] = (
    ModelSaid("Grüß Gott."),
    CallerSaid("A table for"),
    CallerSaid(),
    ModelSaid("For how", heard_whole=False),
    Noted("Pressed 4."),
    Called("c1", "book", '{"seats":4}', "done", "CA1-c1"),
    Called("c2", "bill", "{}"),
    Saying("It is", 16_000, 20_000, whole=False),
)
KEPT = Checkpoint(7, ITEMS, caller_position=80_000, elapsed_s=12.5, errand="c2")
MESSAGES: list[Message] = [
    Hello(version=1, name="edge-1", capabilities=("a",)),
    Heartbeat(1, Receipt(0.01, 0.001, 0.04), (Arrived(7, 2, 150),)),
    HeartbeatReply(1, 3),
    LeaseRequest("l1", "CA1", "front-desk", epoch=2, cold=True),
    LeaseRequest("l1", "CA1", "front-desk", epoch=2, reattach=True),
    LeaseGranted("l1", warm=True),
    LeaseGranted("l1", warm=True, kept=KeptCall(1, "front-desk", here=True)),
    Find("CA1"),
    Found("CA1"),
    Found("CA1", KeptCall(3, "front-desk", checkpoint=KEPT, voice_position=8000)),
    Surge(1.5, length_s=300.0),
    LeaseRefused("l1", CloseReason.AT_CAPACITY),
    LeaseRelease("l1"),
    Greeting("front-desk", "Grüß Gott", b"\x00\xff" * 1000),
    Script("front-desk", "Leider nicht", b"\xff\x00" * 1000),
    Stock({"front-desk": ProfileStock(3, 0.4, 0.3)}, 2, 30, 50, draining=True),
    Members((Member("10.0.0.7:443", "home-1", {"front-desk": 3}, 2),)),
    Presence(accepting=True, room=7),
    PresentEdges({"edge-1": 0.08}, rooms={"edge-1": 7}),
    Moved(Arrived(7, 2, 150)),
    ChannelUnknown(7),
    Open("l1", "CA1", "front-desk", 2, f"00-{1:032x}-{2:016x}-01"),
    Open("l1", "CA1", "front-desk", greeting_text="Hello", resumed=True),
    Open(
        "l1",
        "CA1",
        "front-desk",
        epoch=2,
        checkpoint=KEPT,
        caller_position=80_000,
        voice=VoiceProgress(20_000, 18_000, cleared_at=4000, cleared_heard=3000),
    ),
    Opened("sess_1"),
    KEPT,
    Clear(),
    Cleared(position=16_000, heard=8000),
    Played(16_000),
    Kept(7),
    Digit("#"),
    Flow(paused=True),
    Transfer(TransferKind.SIP, "sip:a@example.com", "Cake.", 20),
    Handover(HandoverReason.SESSION_EXPIRING),
    SendDigits("1w2"),
    Silent(80_000),
    Returned("no-answer"),
    Close(CloseReason.SESSION_LOST, audio=150),
]


def kept(*items: object, **fields: object) -> bytes:
    given = {"t": "checkpoint", "version": 1, "items": items, **fields}
    return msgspec.msgpack.encode(given)


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
        msgspec.msgpack.encode({"t": "handover", "reason": 5}),
        kept(["caller", 5]),
        kept(["whisperer", "psst"]),
        kept(["saying", "x", -1, 0, True]),
        kept(*(MAX_ITEMS + 1) * [["caller", ""]]),
        kept(caller_position=-1),
        kept(elapsed_s=math.nan),
        kept(["caller", "x" * (MAX_CHECKPOINT_BYTES + 1)]),
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


def test_an_item_may_grow() -> None:
    assert decode_message(kept(["noted", "x", "new"])) == Checkpoint(1, (Noted("x"),))


def checkpoint_of(size: int) -> Checkpoint:
    empty = len(encode_message(Checkpoint(1, 3 * (Noted("x" * 256),))))
    third = "x" * ((size - empty) // 3 + 256)
    whole = Checkpoint(1, 3 * (Noted(third),))
    spare = size - len(encode_message(whole))
    return Checkpoint(1, (*whole.items[:2], Noted(third + "x" * spare)))


def test_a_checkpoint_has_a_largest_size() -> None:
    largest = checkpoint_of(MAX_CHECKPOINT_BYTES)
    payload = encode_message(largest)
    assert len(payload) == MAX_CHECKPOINT_BYTES
    assert decode_message(payload) == largest
    opened = Open("l1", "CA1", "front-desk", epoch=2, checkpoint=largest)
    assert decode_message(encode_message(opened)) == opened


@pytest.mark.parametrize(
    "message",
    [
        checkpoint_of(MAX_CHECKPOINT_BYTES + 1),
        Found(
            "CA1",
            KeptCall(
                1, "front-desk", checkpoint=checkpoint_of(MAX_CHECKPOINT_BYTES + 9000)
            ),
        ),
        Open("l1", "CA1", "p", checkpoint=checkpoint_of(MAX_CHECKPOINT_BYTES + 9000)),
    ],
    ids=("sent", "found", "handed on"),
)
def test_a_checkpoint_that_is_too_large_is_refused(message: Message) -> None:
    with pytest.raises(RemoteProtocolError, match="checkpoint is too large"):
        decode_message(encode_message(message))


def test_other_messages_may_be_larger() -> None:
    greeting = Greeting("front-desk", "Hello", bytes(MAX_CHECKPOINT_BYTES))
    opened = Open("l1", "CA1", "p", traceparent="x" * (MAX_CHECKPOINT_BYTES + 9000))
    for message in (greeting, opened):
        assert decode_message(encode_message(message)) == message


def test_a_profile_nobody_spoke_of_has_no_stock() -> None:
    stock = Stock({"front-desk": ProfileStock(3)})
    assert stock.warm("front-desk") == 3
    assert stock.warm("night-line") == 0
    assert Stock().warm("front-desk") == 0
