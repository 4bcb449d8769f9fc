import pytest

from backhaul.core.http2_meter import MAX_HEADER_BYTES, Http2Meter
from backhaul.errors import RemoteProtocolError

DATA, HEADERS, RST_STREAM, SETTINGS, PING = 0x0, 0x1, 0x3, 0x4, 0x6
WINDOW_UPDATE, CONTINUATION = 0x8, 0x9
BURST = 200


def frame(kind: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, 0]) + (1).to_bytes(4) + payload


def meter(preface_bytes: int = 0) -> Http2Meter:
    return Http2Meter(preface_bytes=preface_bytes, now=0.0)


@pytest.mark.parametrize("kind", [DATA, HEADERS, RST_STREAM, SETTINGS, PING, 0xEE])
def test_frames_that_carry_nothing_are_rationed(kind: int) -> None:
    peer = meter()
    peer.admit(frame(kind) * BURST, now=0.0)
    with pytest.raises(RemoteProtocolError, match="flood"):
        peer.admit(frame(kind), now=0.0)


def test_a_ration_comes_back_with_time() -> None:
    peer = meter()
    peer.admit(frame(PING) * BURST, now=0.0)
    peer.admit(frame(PING) * 100, now=1.0)
    with pytest.raises(RemoteProtocolError, match="flood"):
        peer.admit(frame(PING), now=1.0)


def test_a_flood_in_one_piece_is_seen() -> None:
    with pytest.raises(RemoteProtocolError, match="flood"):
        meter().admit(frame(RST_STREAM, bytes(4)) * 10_000, now=0.0)


@pytest.mark.parametrize("kind", [DATA, WINDOW_UPDATE])
def test_what_a_link_consists_of_is_cheap(kind: int) -> None:
    peer = meter()
    peer.admit(frame(kind, bytes(4)) * 19_000, now=0.0)
    with pytest.raises(RemoteProtocolError, match="flood"):
        peer.admit(frame(kind, bytes(4)) * 1_100, now=0.0)


def test_every_setting_counts() -> None:
    peer = meter()
    peer.admit(frame(SETTINGS, bytes(6 * (BURST - 1))), now=0.0)
    with pytest.raises(RemoteProtocolError, match="flood"):
        peer.admit(frame(SETTINGS), now=0.0)


def test_a_frame_is_refused_by_what_its_head_says() -> None:
    meter().admit(frame(DATA, bytes(16_384)), now=0.0)
    with pytest.raises(RemoteProtocolError, match="frame is too long"):
        meter().admit(frame(DATA, bytes(16_385))[:9], now=0.0)


def test_a_header_block_may_not_go_on_for_ever() -> None:
    peer = meter()
    half = bytes(MAX_HEADER_BYTES // 2)
    peer.admit(frame(HEADERS, half) + frame(CONTINUATION, half), now=0.0)
    peer.admit(frame(HEADERS, half), now=0.0)
    with pytest.raises(RemoteProtocolError, match="header block is too long"):
        peer.admit(frame(CONTINUATION, half) + frame(CONTINUATION, b"x"), now=0.0)


@pytest.mark.parametrize("piece", [1, 2, 8, 9, 10, 50])
def test_frames_are_followed_however_they_are_cut(piece: int) -> None:
    peer = meter(preface_bytes=24)
    pair = frame(DATA, bytes(100)) + frame(PING, bytes(8))
    # The DATA frames cost nearly two tokens in all.
    said = bytes(24) + pair * (BURST - 2)
    for start in range(0, len(said), piece):
        peer.admit(said[start : start + piece], now=0.0)
    with pytest.raises(RemoteProtocolError, match="flood"):
        peer.admit(frame(PING, bytes(8)), now=0.0)


def test_no_bytes_cost_nothing() -> None:
    peer = meter()
    peer.admit(b"", now=0.0)
    peer.spend(0, now=0.0)
    peer.spend(BURST, now=0.0)
    with pytest.raises(RemoteProtocolError, match="flood"):
        peer.spend(1, now=0.0)
