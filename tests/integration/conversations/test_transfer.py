"""The model connects the caller to somebody else, or tries to."""

import asyncio

from tests.integration.conversations.conftest import OpenLine

TRANSFERS = """
greeting = "Hello, and thank you for calling. How can I help you today?"
[profiles.desk.transfers.sales]
to = "+14155550199"
description = "Somebody from sales."
[profiles.desk.transfers.reception]
to = "sip:reception@hotel.example.com"
[profiles.desk.transfers.waiting-line]
to = "queue:support"
"""

ASKED = """
{call}
[[caller]]
say = "caller-connect"
[[caller]]
expect_heard = "transfer-1"
{then}
[[model]]
speak = "transfer-1"
calls = [{{ name = "transfer", arguments = {arguments} }}]
{model}
"""

TO_SALES = '{ destination = "sales", summary = "Wants a room." }'

BACK_AGAIN = """
[[caller]]
expect_heard = "sorry-1"
[[caller]]
say = "caller-6"
[[caller]]
expect_heard = "goodbye-1"
[[caller]]
expect_tool = { name = "transfer", times = 1, output_contains = "error" }
"""
MODEL_BACK_AGAIN = """
[[model]]
speak = "sorry-1"
[[model]]
speak = "goodbye-1"
"""


def asked(
    *, call: str = "", then: str = "", arguments: str = TO_SALES, model: str = ""
) -> str:
    return ASKED.format(call=call, then=then, arguments=arguments, model=model)


async def test_who_answers_is_told_and_connected(answer: OpenLine) -> None:
    line = await answer(TRANSFERS)
    result = await line.converse(
        asked(
            call='[call]\ndial = { outcome = "answered", after_s = 0.3, talk_s = 0.5 }',
            then='[[caller]]\nexpect_verb = "Dial +14155550199"\n'
            '[[caller]]\nexpect_end = "twiml"',
        )
    )
    assert result.ok, result.problems
    (transfer,) = result.call.transfers
    assert transfer.whispers == ("Wants a room.",)
    assert transfer.status == "completed"
    assert result.call.unplayed_bytes_at_end == 0
    assert line.agent.listener.active_calls == 0


async def test_the_caller_comes_back_when_nobody_answers(answer: OpenLine) -> None:
    outcomes = ("busy", "no-answer", "failed")
    lines = [await answer(TRANSFERS) for _ in outcomes]
    results = await asyncio.gather(
        *(
            line.converse(
                asked(
                    call=f'[call]\ndial = {{ outcome = "{outcome}", after_s = 0.2 }}',
                    then=BACK_AGAIN,
                    model=MODEL_BACK_AGAIN,
                )
            )
            for line, outcome in zip(lines, outcomes, strict=True)
        )
    )
    for outcome, result in zip(outcomes, results, strict=True):
        assert result.ok, (outcome, result.problems)
        # The same session went on: it knows what was said before.
        assert len(result.sessions) == 1


async def test_a_transfer_that_makes_no_sense_is_explained(answer: OpenLine) -> None:
    senseless = (
        '{ destination = "nobody" }',
        '{ number = "911" }',
        "'{\"destination\": '",
    )
    patient = TRANSFERS + "[profiles.desk.silence]\nafter_s = 60\n"
    lines = [await answer(patient) for _ in senseless]
    results = await asyncio.gather(
        *(
            line.converse(
                asked(arguments=arguments, then=BACK_AGAIN, model=MODEL_BACK_AGAIN)
            )
            for line, arguments in zip(lines, senseless, strict=True)
        )
    )
    for arguments, result in zip(senseless, results, strict=True):
        assert result.ok, (arguments, result.problems)
        assert not [verb for verb in result.call.verbs if verb.startswith("Dial")]


async def test_a_call_over_sip_is_referred(answer: OpenLine) -> None:
    line = await answer(TRANSFERS)
    result = await line.converse(
        asked(
            call="[call]\nover_sip = true",
            arguments='{ destination = "reception" }',
            then='[[caller]]\nexpect_verb = "Refer sip:reception@hotel.example.com"\n'
            '[[caller]]\nexpect_end = "twiml"',
        )
    )
    assert result.ok, result.problems


async def test_a_caller_can_wait_in_a_queue(answer: OpenLine) -> None:
    line = await answer(TRANSFERS)
    result = await line.converse(
        asked(
            arguments='{ destination = "waiting-line" }',
            then='[[caller]]\nexpect_verb = "Enqueue support"',
        )
    )
    assert result.ok, result.problems


async def test_the_model_presses_keys_and_goes_on(answer: OpenLine) -> None:
    line = await answer("may_send_dtmf = true\ncaller_speaks_first = true\n")
    result = await line.converse("""
[call]
waits_for_opening = false
[[caller]]
say = "caller-4"
[[caller]]
expect_digits = "12#"
[[caller]]
expect_heard = "reply-2"
[[caller]]
expect_tool = { name = "send_dtmf", times = 1, output_contains = "sent" }
[[model]]
speak = "reply-1"
calls = [{ name = "send_dtmf", arguments = { digits = "12#" } }]
[[model]]
speak = "reply-2"
""")
    assert result.ok, result.problems
    assert len(result.sessions) == 1
