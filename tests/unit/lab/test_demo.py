import hashlib
from typing import Any

import pytest

from lab.demo import is_exact
from lab.twilio import CallReport
from lab.twilio_report import AudioCount

GREETING, SPOKEN, SAID = b"hello", b"how can I help", b"a room please"


def report(received: bytes, *, said: bytes = SAID) -> CallReport:
    nothing = AudioCount.of(bytearray())
    return CallReport(
        call_sid="CA1",
        from_number="+14155550123",
        to_number="+14155550100",
        answered=True,
        ended_by="caller",
        started_at=0.0,
        duration_s=1.0,
        webhook_ms=1.0,
        stream_connect_ms=1.0,
        first_audio_ms=1.0,
        turns=(),
        gaps=(),
        marks=0,
        marks_echoed=0,
        clears=0,
        sent=AudioCount.of(bytearray(said)),
        received=nothing,
        lost_frames=0,
        close_codes=(),
        errors=(),
        stream_sids=(),
        custom_parameters={},
        verbs=(),
        clock_late_ms_p99=0.0,
        timeline=(),
        received_audio=received,
        heard=b"",
    )


def counted(audio: bytes) -> dict[str, Any]:
    return {"bytes": len(audio), "sha256": hashlib.sha256(audio).hexdigest()}


SESSION = {"audio_in": counted(SAID), "audio_out": counted(SPOKEN)}


@pytest.mark.parametrize("greeting", [b"", GREETING])
def test_every_byte_in_orderis_exact(greeting: bytes) -> None:
    assert is_exact(report(greeting + SPOKEN), SESSION, greeting)


@pytest.mark.parametrize(
    ("received", "greeting"),
    [
        (SPOKEN, GREETING),
        (GREETING + SPOKEN, b""),
        (GREETING[1:] + SPOKEN, GREETING),
        (b"HELLO" + SPOKEN, GREETING),
        (SPOKEN + GREETING, GREETING),
        (GREETING + SPOKEN[:-1], GREETING),
        (GREETING + SPOKEN + b"!", GREETING),
        (b"", b""),
    ],
)
def test_anything_else_is_not(received: bytes, greeting: bytes) -> None:
    assert not is_exact(report(received), SESSION, greeting)


def test_what_the_caller_said_must_have_been_heard() -> None:
    assert not is_exact(report(SPOKEN, said=b"a table"), SESSION, b"")


def test_a_call_without_a_session_is_not_exact() -> None:
    assert not is_exact(report(b"", said=b""), {}, b"")
