"""Built-in tools: what the model asks for is done, or it is told why not."""

import pytest

from backhaul.core.messages import CloseReason, SendDigits, Transfer, TransferKind
from backhaul.core.profile import Profile
from backhaul.core.tools import TransferTarget
from region_agent.core.built_in_tools import (
    HangUp,
    NotPossible,
    Sending,
    Transferring,
    built_in,
)

PLAIN = Profile(instructions="Be kind.", may_hang_up=False)
ABLE = Profile(
    instructions="Be kind.",
    may_send_dtmf=True,
    may_dial_any_number=True,
    transfers={
        "desk": TransferTarget(to="+14155550100", timeout_s=20),
        "shop": TransferTarget(to="sip:shop@example.com", whisper=False),
        "sales": TransferTarget(to="queue:sales"),
    },
)
STRICT = Profile(instructions="Be kind.", transfers=ABLE.transfers)


def test_the_profile_s_own_functions_are_none_of_them() -> None:
    assert built_in("lookup", "{}", ABLE) is None


@pytest.mark.parametrize("name", ["hang_up", "transfer", "send_dtmf"])
def test_what_the_profile_does_not_allow_is_not_done(name: str) -> None:
    assert built_in(name, "{}", PLAIN) == NotPossible(
        f"there is no tool {name} in this call"
    )


@pytest.mark.parametrize("arguments", ["", "{}", "nonsense"])
def test_hanging_up_takes_no_arguments(arguments: str) -> None:
    assert built_in("hang_up", arguments, ABLE) == HangUp(CloseReason.MODEL_HUNG_UP)


@pytest.mark.parametrize(
    ("arguments", "destination", "message"),
    [
        (
            '{"destination":"desk","summary":" A cake. "}',
            "desk",
            Transfer(TransferKind.NUMBER, "+14155550100", "A cake.", 20),
        ),
        (
            '{"destination":"shop","summary":"A cake."}',
            "shop",
            Transfer(TransferKind.SIP, "sip:shop@example.com"),
        ),
        (
            '{"destination":"sales","number":"+442079460958"}',
            "sales",
            Transfer(TransferKind.QUEUE, "sales"),
        ),
        (
            '{"number":"+44 (20) 7946-0958"}',
            "number",
            Transfer(TransferKind.NUMBER, "+442079460958"),
        ),
    ],
)
def test_a_caller_can_be_transferred(
    arguments: str, destination: str, message: Transfer
) -> None:
    wanted = built_in("transfer", arguments, ABLE)
    assert isinstance(wanted, Transferring)
    assert (wanted.destination, wanted.message) == (destination, message)


def test_a_summary_is_cut_where_it_gets_long() -> None:
    arguments = f'{{"destination":"desk","summary":"{"a" * 900}"}}'
    wanted = built_in("transfer", arguments, ABLE)
    assert isinstance(wanted, Transferring)
    assert wanted.summary == wanted.message.whisper == "a" * 500


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ("", "nobody is known"),
        ('{"destination":"moon"}', "nobody is known"),
        ('{"number":"0123"}', "not of the form"),
        ('{"number":"+1415555010\\u0660"}', "not of the form"),
        ('{"number":"sip:a@example.com"}', "not of the form"),
        ('{"number":5}', "do not fit"),
        ("{", "do not fit"),
        ("[]", "do not fit"),
        ("\ud800", "do not fit"),
        ("[" * 100_000, "do not fit"),
    ],
)
def test_a_transfer_that_makes_no_sense_is_explained(arguments: str, why: str) -> None:
    wanted = built_in("transfer", arguments, ABLE)
    assert isinstance(wanted, NotPossible)
    assert why in wanted.why


def test_a_number_is_dialled_only_where_that_is_allowed() -> None:
    wanted = built_in("transfer", '{"number":"+442079460958"}', STRICT)
    assert isinstance(wanted, NotPossible)


@pytest.mark.parametrize("digits", ["1", "0123456789*#w", "w" * 32])
def test_keys_can_be_pressed(digits: str) -> None:
    wanted = built_in("send_dtmf", f'{{"digits":"{digits}"}}', ABLE)
    assert wanted == Sending(SendDigits(digits))


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "{",
        '{"digits":""}',
        '{"digits":"1 2"}',
        '{"digits":12}',
        f'{{"digits":"{"1" * 33}"}}',
        '{"digits":"\\u0661"}',
    ],
)
def test_other_keys_than_there_are_cannot_be_pressed(arguments: str) -> None:
    wanted = built_in("send_dtmf", arguments, ABLE)
    assert wanted == NotPossible("digits must be 1 to 32 of 0-9, *, # and w")


def test_nothing_personal_is_shown() -> None:
    arguments = '{"number":"+442079460958","summary":"Cake"}'
    for wanted in (built_in("transfer", arguments, ABLE), Sending(SendDigits("42"))):
        assert not any(text in repr(wanted) for text in ("7946", "Cake", "42"))
