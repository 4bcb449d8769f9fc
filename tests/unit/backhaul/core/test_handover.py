"""Why calls are handed over, as newer agents may say it."""

import msgspec

from backhaul.core.messages import Handover, HandoverReason, decode_message


def test_a_reason_that_only_a_newer_agent_has_is_taken_for_the_usual_one() -> None:
    payload = msgspec.msgpack.encode({"t": "handover", "reason": "unheard-of"})
    assert decode_message(payload) == Handover(HandoverReason.DRAINING)


def test_known_reasons_are_told_from_each_other() -> None:
    told = [msgspec.json.encode(reason) for reason in HandoverReason]
    read = [msgspec.json.decode(one, type=HandoverReason) for one in told]
    assert read == list(HandoverReason)
