"""What has to change at Twilio: decided without Twilio."""

import pytest

from lab.number_plan import Change, NumberPlan, Retries, Webhooks, plan_number, shown

NUMBER = "+14155550100"
WEBHOOKS = Webhooks("https://edge.example.com", "https://two.example.com")
FRAGMENT = "#ct=2000&rt=4000&rc=2&rp=all"
RIGHT: dict[str, object] = {
    "sid": "PN1",
    "capabilities": {"voice": True, "sms": True},
    "voice_receive_mode": "voice",
    "voice_url": f"https://edge.example.com/twilio/voice{FRAGMENT}",
    "voice_method": "POST",
    "voice_fallback_url": f"https://two.example.com/twilio/voice{FRAGMENT}",
    "voice_fallback_method": "POST",
    "status_callback": f"https://edge.example.com/twilio/status{FRAGMENT}",
    "status_callback_method": "POST",
    "voice_application_sid": None,
    "trunk_sid": "",
}


def test_a_number_that_is_right_is_left_alone() -> None:
    plan = plan_number("us1", NUMBER, RIGHT, WEBHOOKS)
    assert plan == NumberPlan("us1", NUMBER, sid="PN1")


@pytest.mark.parametrize(
    ("setting", "now", "then"),
    [
        (
            "voice_url",
            "https://edge.example.com/twilio/voice",
            f"https://edge.example.com/twilio/voice{FRAGMENT}",
        ),
        ("voice_method", "GET", "POST"),
        (
            "voice_fallback_url",
            None,
            f"https://two.example.com/twilio/voice{FRAGMENT}",
        ),
        ("voice_application_sid", "AP1", ""),
        ("trunk_sid", "TK1", ""),
        ("voice_receive_mode", "fax", "voice"),
    ],
)
def test_only_what_differs_is_changed(setting: str, now: str | None, then: str) -> None:
    plan = plan_number("us1", NUMBER, RIGHT | {setting: now}, WEBHOOKS)
    assert plan.changes == (Change(setting, now or "", then),)


def test_a_number_of_somebody_else_is_a_problem() -> None:
    plan = plan_number("ie1", NUMBER, None, WEBHOOKS)
    assert (plan.problem, plan.changes) == ("not a number of this account", ())


def test_a_number_without_voice_is_a_problem() -> None:
    found = RIGHT | {"capabilities": {"voice": False, "sms": True}}
    assert "no voice" in plan_number("us1", NUMBER, found, WEBHOOKS).problem


def test_every_try_fits_into_the_15_s_that_twilio_gives_a_webhook() -> None:
    retries = Retries()
    longest_s = (retries.count + 1) * retries.read_timeout_s + retries.connect_timeout_s
    assert longest_s <= 15


def test_requests_may_leave_twilio_elsewhere() -> None:
    retries = Retries(count=1, egress=("dublin", "frankfurt"))
    assert retries.fragment() == "#ct=2000&rt=4000&rc=1&rp=all&e=dublin,frankfurt"


def test_a_fallback_with_a_path_is_left_as_it_is() -> None:
    webhooks = Webhooks("https://edge.example.com", "https://example.com/sorry.xml")
    fallback = webhooks.settings()["voice_fallback_url"]
    assert fallback == f"https://example.com/sorry.xml{FRAGMENT}"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", ""),
        ("POST", "POST"),
        ("https://a.example/x#rc=1", "https://a.example/x#rc=1"),
        ("https://user:secret@a.example:8443/x", "https://***@a.example:8443/x"),
        ("https://a.example/x?key=secret", "https://a.example/x?***"),
        ("https://[broken/secret", "(not a URL)"),
    ],
)
def test_what_may_be_secret_is_not_shown(url: str, expected: str) -> None:
    assert shown(url) == expected
