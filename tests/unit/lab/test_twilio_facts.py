from lab.twilio_caller import CallPlan
from lab.twilio_facts import call_parameters


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
