"""What a base64 decode and encode of one 20 ms frame cost, beside parsing the frame."""

import base64
import timeit

import pybase64

from edge.core.media_stream import MediaStreamProtocol

FRAME = bytes(range(160))
ENCODED = base64.b64encode(FRAME).decode()
START = (
    b'{"event":"start","streamSid":"MZ1","sequenceNumber":"1","start":{"callSid":"CA1",'
    b'"accountSid":"AC1","mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,'
    b'"channels":1}}}'
)
MEDIA = (
    b'{"event":"media","sequenceNumber":"2","streamSid":"MZ1","media":{"track":"inbound",'
    b'"chunk":"1","timestamp":"0","payload":"' + ENCODED.encode() + b'"}}'
)


def microseconds(statement: str, **names: object) -> float:
    """Return the best time of one execution, of seven runs."""
    number = 20_000
    best = min(timeit.repeat(statement, globals=names, number=number, repeat=7))
    return best / number * 1e6


def main() -> None:
    """Print each cost and the share of the codec."""
    protocol = MediaStreamProtocol(max_bad_frames=1)
    protocol.receive(START)
    decode = microseconds("f(t, validate=True)", f=pybase64.b64decode, t=ENCODED)
    encode = microseconds("f(b)", f=pybase64.b64encode, b=FRAME)
    whole = microseconds("f(m)", f=protocol.receive, m=MEDIA)
    print(f"decode with validation   {decode:6.2f} us")
    print(f"encode                   {encode:6.2f} us")
    print(f"whole Media Streams frame{whole:6.2f} us   decode is {decode / whole:.0%}")


if __name__ == "__main__":
    main()
