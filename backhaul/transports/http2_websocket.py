"""One WebSocket inside one HTTP/2 connection (RFC 8441), bytes in and bytes out.

Nothing here touches a socket: whoever does gives what was read to `receive` and
writes what `data_to_send` returns, after every call.
"""

from collections.abc import Mapping
from typing import Final

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    ResponseReceived,
    SettingsAcknowledged,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Protocol, Side, State

from backhaul.core.frames import MAX_BATCH_BYTES
from backhaul.core.http2_meter import MAX_HEADER_BYTES, Http2Meter
from backhaul.errors import RemoteProtocolError
from backhaul.transports.http2_message import (
    HEAD_BYTES,
    framed_bytes,
    read_message,
    window_updates,
    write_message,
)

__all__ = ["Http2Client", "Http2Server", "Http2WebSocket"]

WINDOW_BYTES: Final = 16 * 1024 * 1024
"""What a peer may send ahead (bytes). Larger than any batch, and than 80 ms of round
trip hold at 1 Gbit/s. It costs no memory: all that arrives is consumed at once."""

_OWN_UP_BYTES: Final = WINDOW_BYTES // 16
"""The peer's window is refilled in such steps, not for every batch."""

_PREFACE_BYTES: Final = 24
_INITIAL_WINDOW_BYTES: Final = 65535
_OK_STATUSES: Final = range(200, 300)
_VERSION: Final = b"13"
_NOT_A_MESSAGE: Final = "message is not one whole binary frame"


class Http2WebSocket:
    """Either end; `Http2Client` and `Http2Server` differ in how it opens.

    The peer can never raise anything here: it can only bring the end about.

    Attributes:
        opened: Whether the WebSocket was established, for however short a time.
        over: Whether nothing more will be sent or received.
        reason: Why it is ending or over.
    """

    def __init__(self, *, side: Side, path: str, now: float) -> None:
        client = side is Side.CLIENT
        self.opened = False
        self.over = False
        self.reason = ""
        self._path = path.encode()
        self._meter = Http2Meter(preface_bytes=0 if client else _PREFACE_BYTES, now=now)
        self._h2 = H2Connection(H2Configuration(client_side=client))
        self._h2.local_settings = Settings(client=client, initial_values=_offer(side))
        self._h2.decoder.max_header_list_size = MAX_HEADER_BYTES
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(WINDOW_BYTES - _INITIAL_WINDOW_BYTES)
        self._websocket = Protocol(side, max_size=MAX_BATCH_BYTES)
        self._is_client = client
        self._stream_id = 0
        self._consumed_bytes = 0
        self._taken_bytes = 0
        self._unparsed_bytes = 0
        """What the WebSocket got and has not made a frame of. If a peer writes lengths
        longer than need be, some is always left, and all goes the long way."""
        self._unsent = bytearray()
        self._out = bytearray()

    @property
    def ending(self) -> bool:
        """Whether no more messages are sent, only what waits."""
        return self.over or self._websocket.state is not State.OPEN

    @property
    def unsent_bytes(self) -> int:
        """How much waits here until the peer grants more window (bytes)."""
        return len(self._unsent)

    def receive(self, data: bytes, *, now: float) -> list[bytes]:
        """Take the next bytes from the peer and return the messages they complete."""
        messages: list[bytes] = []
        if self.over:
            return messages
        try:
            between_frames = self._meter.between_frames
            self._meter.admit(data, now=now)
            if between_frames and self.opened and not self._unparsed_bytes:
                data = self._take(data, messages)
            for event in self._h2.receive_data(data):
                self._on_event(event, messages, now)
            self._pump()
        except RemoteProtocolError as exc:
            self._end(exc.reason, ErrorCodes.ENHANCE_YOUR_CALM)
        except H2Error as exc:
            # h2 has said GOAWAY; its texts may quote the peer.
            self.reason = self.reason or f"HTTP/2 error: {type(exc).__name__}"
            self.over = True
        return messages

    def send(self, message: bytes | bytearray) -> None:
        """Send one binary message; does nothing unless the WebSocket is open."""
        if self.opened and not self.ending and not self._put(message):
            self._websocket.send_binary(message)
            self._pump()

    def close(self, reason: str) -> None:
        """End; what was sent before still goes out as the peer grants window."""
        self.reason = self.reason or reason
        if not self.opened:
            self._end(reason, ErrorCodes.NO_ERROR)
        elif not self.ending:
            self._websocket.send_close(CloseCode.GOING_AWAY)
            self._pump()

    def data_to_send(self) -> bytes:
        """Return what has to be written to the peer now."""
        if not self._out:
            return self._h2.data_to_send()
        data = bytes(self._out) + self._h2.data_to_send()
        self._out.clear()
        return data

    # The short way, past h2 and websockets

    def _take(self, data: bytes, messages: list[bytes]) -> bytes:
        """Read what is as usual at the beginning of *data*; return the rest."""
        position = 0
        while not self.ending:
            found = read_message(
                data, position, stream=self._stream_id, masked=not self._is_client
            )
            if found is None:
                break
            message, end = found
            messages.append(message)
            self._taken_bytes += end - position - HEAD_BYTES
            position = end
        if self._taken_bytes >= _OWN_UP_BYTES:
            self._append(window_updates(self._stream_id, self._taken_bytes))
            self._taken_bytes = 0
        return data[position:]

    def _put(self, message: bytes | bytearray) -> bool:
        """Send *message* if nothing waits and there is room for it in one frame."""
        if self._unsent:
            return False
        frame = write_message(message, stream=self._stream_id, masked=self._is_client)
        if frame is None:
            return False
        # h2 keeps the peer's windows, and has to know what they were used for.
        stream = self._h2.streams[self._stream_id]
        size = len(frame) - HEAD_BYTES
        window = self._h2.local_flow_control_window(self._stream_id)
        if size > min(window, self._h2.max_outbound_frame_size):
            return False
        self._h2.outbound_flow_control_window -= size
        stream.outbound_flow_control_window -= size
        self._append(frame)
        return True

    def _append(self, frames: bytes) -> None:
        """Have *frames* leave behind what h2 has to say already."""
        self._out += self._h2.data_to_send()
        self._out += frames

    # The long way

    def _on_event(self, event: Event, messages: list[bytes], now: float) -> None:
        match event:
            case DataReceived(stream_id=stream_id) if stream_id == self._stream_id:
                self._own_up(event.flow_controlled_length)
                self._unparsed_bytes += len(event.data)
                self._websocket.receive_data(event.data)
                for frame in self._websocket.events_received():
                    self._on_frame(frame, messages, now)
                if exc := self._websocket.parser_exc:
                    self.reason = self.reason or f"WebSocket: {type(exc).__name__}"
            case StreamEnded(stream_id=stream_id) | StreamReset(stream_id=stream_id):
                if stream_id == self._stream_id:
                    self._end("closed by the peer", ErrorCodes.NO_ERROR)
            case ConnectionTerminated():
                self._end("closed by the peer", ErrorCodes.NO_ERROR)
            case _:
                self._on_handshake(event)

    def _own_up(self, consumed_bytes: int) -> None:
        """Let the peer send as much again, once it has become worth a frame."""
        self._consumed_bytes += consumed_bytes
        if self._consumed_bytes >= _OWN_UP_BYTES:
            self._h2.acknowledge_received_data(self._consumed_bytes, self._stream_id)
            self._consumed_bytes = 0

    def _on_handshake(self, event: Event) -> None:
        raise NotImplementedError

    def _on_frame(self, event: object, messages: list[bytes], now: float) -> None:
        assert isinstance(event, Frame)  # noqa: S101 - narrows the type
        size = framed_bytes(len(event.data), masked=not self._is_client)
        self._unparsed_bytes -= size
        if event.opcode is Opcode.BINARY and event.fin:
            messages.append(bytes(event.data))
        elif event.opcode is Opcode.CLOSE:
            self.reason = self.reason or "closed by the peer"
        elif event.opcode in {Opcode.PING, Opcode.PONG}:
            self._meter.spend(1, now=now)
        else:
            self.reason = self.reason or _NOT_A_MESSAGE
            self._websocket.fail(CloseCode.UNSUPPORTED_DATA)

    def _pump(self) -> None:
        """Move what the WebSocket wrote into DATA, as far as the peer lets us."""
        if self.over or not self.opened:
            return
        for data in self._websocket.data_to_send():
            self._unsent += data
        while self._unsent:
            window = self._h2.local_flow_control_window(self._stream_id)
            size = min(window, self._h2.max_outbound_frame_size)
            if size <= 0:
                return
            self._h2.send_data(self._stream_id, bytes(self._unsent[:size]))
            del self._unsent[:size]
        if self.ending:
            self._h2.end_stream(self._stream_id)
            self._end(self.reason, ErrorCodes.NO_ERROR)

    def _end(self, reason: str, code: ErrorCodes) -> None:
        if not self.over:
            self.over = True
            self.reason = self.reason or reason
            self._h2.close_connection(code)


class Http2Client(Http2WebSocket):
    """The end that dials."""

    def __init__(self, authority: str, path: str, *, now: float) -> None:
        super().__init__(side=Side.CLIENT, path=path, now=now)
        self._authority = authority.encode()

    def _on_handshake(self, event: Event) -> None:
        match event:
            case RemoteSettingsChanged():
                # h2 lets a client CONNECT however the server answered, and forgets
                # that a server must not take it back. Source: RFC 8441, 3.
                if not self._h2.remote_settings.enable_connect_protocol:
                    self._end("no extended CONNECT", ErrorCodes.PROTOCOL_ERROR)
                elif not self._stream_id and not self.over:
                    self._connect()
            case ResponseReceived(headers=headers):
                status = dict(headers)[b":status"]
                self.opened = status.isdigit() and int(status) in _OK_STATUSES
                if not self.opened:
                    self._end("CONNECT was refused", ErrorCodes.NO_ERROR)
            case _:
                pass

    def _connect(self) -> None:
        self._stream_id = self._h2.get_next_available_stream_id()
        self._h2.send_headers(
            self._stream_id,
            [
                (b":method", b"CONNECT"),
                (b":protocol", b"websocket"),
                (b":scheme", b"https"),
                (b":authority", self._authority),
                (b":path", self._path),
                (b"sec-websocket-version", _VERSION),
            ],
        )


class Http2Server(Http2WebSocket):
    """The end that listens."""

    def __init__(self, path: str, *, now: float) -> None:
        super().__init__(side=Side.SERVER, path=path, now=now)
        self._offer_seen = False

    def _on_handshake(self, event: Event) -> None:
        match event:
            case SettingsAcknowledged():
                self._offer_seen = True
            case RequestReceived():
                self._answer(event)
            case _:
                pass

    def _answer(self, event: RequestReceived) -> None:
        stream_id, request = event.stream_id, dict(event.headers)
        if b":protocol" in request and not self._offer_seen:
            # h2 does not notice. Source: RFC 8441, 3.
            raise RemoteProtocolError("extended CONNECT before our settings were read")
        status = _status(request, path=self._path)
        accepted = status == b"200"
        self._h2.send_headers(
            stream_id, [(b":status", status)], end_stream=not accepted
        )
        if accepted:
            self._stream_id = stream_id
            self.opened = True
        elif event.stream_ended is None:
            self._h2.reset_stream(stream_id, ErrorCodes.NO_ERROR)


def _offer(side: Side) -> dict[SettingCodes, int]:
    offer = {
        SettingCodes.INITIAL_WINDOW_SIZE: WINDOW_BYTES,
        SettingCodes.MAX_HEADER_LIST_SIZE: MAX_HEADER_BYTES,
    }
    if side is Side.CLIENT:
        return offer | {SettingCodes.ENABLE_PUSH: 0}
    # One connection is one link, and so it has one stream.
    return offer | {
        SettingCodes.MAX_CONCURRENT_STREAMS: 1,
        SettingCodes.ENABLE_CONNECT_PROTOCOL: 1,
    }


def _status(request: Mapping[bytes, bytes], *, path: bytes) -> bytes:
    """Return how to answer *request*. Source: RFC 8441, 4 and 5; RFC 6455, 4.4."""
    if request[b":method"] == b"CONNECT" and request.get(b":protocol") != b"websocket":
        return b"501"
    if request.get(b":protocol") is None or request[b":path"] != path:
        return b"404"
    if request.get(b"sec-websocket-version") != _VERSION:
        return b"400"
    return b"200"
