from lab.twilio_facts import call_parameters, child_parameters
from lab.twilio_plan import CallPlan


def parameters(caller: str, **extra: str) -> dict[str, str]:
    plan = CallPlan(
        webhook_url="",
        from_number=caller,
        to_number="+353112345",
        extra_parameters=extra,
    )
    return call_parameters(plan, call_sid="CA1", account_sid="AC1", status="ringing")


def test_a_webhook_is_told_who_calls_whom_from_which_country() -> None:
    told = parameters("+493012345678")
    assert told["From"] == told["Caller"] == "+493012345678"
    assert told["FromCountry"] == told["CallerCountry"] == "DE"
    assert told["ToCountry"] == told["CalledCountry"] == "IE"
    assert (told["CallStatus"], told["Direction"]) == ("ringing", "inbound")


def test_an_unknown_place_is_left_out() -> None:
    assert "FromCountry" not in parameters("client:alice")
    assert "FromCountry" not in parameters("anonymous")


def test_a_plan_may_add_and_replace_parameters() -> None:
    told = parameters("+4930", FromCity="BERLIN", Direction="outbound-api")
    assert (told["FromCity"], told["Direction"]) == ("BERLIN", "outbound-api")


def test_a_call_at_a_sip_domain_has_uris_for_numbers() -> None:
    plan = CallPlan(
        webhook_url="", from_number="+4930", to_number="sip:a@b", over_sip=True
    )
    told = call_parameters(plan, call_sid="CA12", account_sid="AC1", status="ringing")
    assert told["From"] == told["Caller"] == "sip:+4930@pbx.example.com"
    assert told["To"] == "sip:a@b"
    assert {"SipDomain", "SipDomainSid", "SipCallId", "SipSourceIp"} <= set(told)
    assert not any(name.startswith("Sip") for name in parameters("+4930"))


def test_a_leg_that_was_dialled_has_a_parent() -> None:
    told = child_parameters(
        parameters("+4930"), call_sid="CA2", called="+1", caller="+4930", status="x"
    )
    assert (told["CallSid"], told["ParentCallSid"]) == ("CA2", "CA1")
    assert told["Direction"] == "outbound-dial"
