"""What an agent may ask for, and what of it never reaches TwiML."""

import pytest

from backhaul.core.messages import SendDigits, Transfer, TransferKind
from edge.core.errand import Errand, ErrandKind, errand_of

NUMBER, SIP, QUEUE = TransferKind.NUMBER, TransferKind.SIP, TransferKind.QUEUE


@pytest.mark.parametrize(
    ("message", "over_sip", "errand", "success"),
    [
        (
            SendDigits("12w#"),
            False,
            Errand(ErrandKind.DIGITS, "12w#"),
            "sent",
        ),
        (
            Transfer(NUMBER, "+14155550100", "It is Ann.", 20),
            True,
            Errand(ErrandKind.DIAL_NUMBER, "+14155550100", "It is Ann.", 20),
            "answered",
        ),
        (
            Transfer(SIP, "sip:desk@example.com", "It is Ann.", 20),
            False,
            Errand(ErrandKind.DIAL_SIP, "sip:desk@example.com", "It is Ann.", 20),
            "answered",
        ),
        (
            Transfer(SIP, "sip:desk@example.com", "It is Ann.", 20),
            True,
            Errand(ErrandKind.REFER, "sip:desk@example.com", rings_s=20),
            "referred",
        ),
        (
            Transfer(QUEUE, "queue:support"),
            False,
            Errand(ErrandKind.QUEUE, "support"),
            "queued",
        ),
        (
            Transfer(QUEUE, "support"),
            False,
            Errand(ErrandKind.QUEUE, "support"),
            "queued",
        ),
    ],
)
def test_what_can_be_done(
    message: Transfer | SendDigits, over_sip: bool, errand: Errand, success: str
) -> None:
    assert errand_of(message, over_sip=over_sip) == errand
    assert errand.success == success
    assert errand.is_transfer == isinstance(message, Transfer)


@pytest.mark.parametrize(
    "message",
    [
        SendDigits(""),
        SendDigits("12a"),
        SendDigits("1" * 65),
        SendDigits('1"/><Hangup/>'),
        Transfer(NUMBER, ""),
        Transfer(NUMBER, "4155550100"),
        Transfer(NUMBER, "+1415555<Number>"),
        Transfer(NUMBER, "sip:desk@example.com"),
        Transfer(SIP, "+14155550100"),
        Transfer(SIP, "sip:desk@example.com</Sip>"),
        Transfer(QUEUE, "queue:"),
        Transfer(QUEUE, "queue:queue:support"),
        Transfer(QUEUE, "support&amp;"),
    ],
)
def test_what_cannot(message: Transfer | SendDigits) -> None:
    assert errand_of(message, over_sip=False) is None


@pytest.mark.parametrize(("asked", "given"), [(-5, 1), (30, 30), (10_000, 600)])
def test_ringing_stays_within_what_the_carrier_takes(asked: int, given: int) -> None:
    errand = errand_of(Transfer(NUMBER, "+14155550100", "", asked), over_sip=False)
    assert errand is not None
    assert errand.rings_s == given
    assert errand.plays_s == 0.0


def test_touch_tones_take_their_time() -> None:
    assert Errand(ErrandKind.DIGITS, "12ww").plays_s == 2.0


def test_nothing_personal_is_shown() -> None:
    errand = Errand(ErrandKind.DIAL_NUMBER, "+14155550100", "It is Ann.", 20)
    assert "+1415" not in repr(errand)
    assert "Ann" not in repr(errand)
