"""Signatures against Twilio's own validator, and URLs as Twilio may have seen them."""

import pytest
from multidict import MultiDict
from twilio.request_validator import RequestValidator

from edge.core.signature import (
    body_digest_matches,
    compute_signature,
    media_url_candidates,
    signature_matches,
    webhook_url_candidates,
)

KEY = "12345"
URL = "https://voice.example.com/twilio/voice"
PARAMETERS = {"CallSid": "CA1", "From": "+14155550123", "To": "+14155550100", "Ä": "ö"}


def test_it_is_the_signature_that_twilio_computes() -> None:
    judge = RequestValidator(KEY).compute_signature(URL, PARAMETERS)
    assert compute_signature(KEY, URL, tuple(PARAMETERS.items())) == judge


def test_repeated_parameters_are_signed_as_twilio_signs_them() -> None:
    pairs = (("a", "2"), ("a", "1"), ("a", "2"), ("b", ""))
    judge = RequestValidator(KEY).compute_signature(URL, MultiDict(pairs))
    assert compute_signature(KEY, URL, pairs) == judge


@pytest.mark.parametrize("signed_url", [URL, URL.replace(".com", ".com:443")])
def test_the_default_port_may_be_there_or_not(signed_url: str) -> None:
    signature = compute_signature(KEY, signed_url)
    candidates = webhook_url_candidates("https://voice.example.com", "/twilio/voice")
    assert signature_matches(signature, keys=[KEY], candidates=candidates)


def test_a_configured_default_port_may_be_missing() -> None:
    candidates = webhook_url_candidates("https://voice.example.com:443", "/v")
    assert candidates == (
        "https://voice.example.com:443/v",
        "https://voice.example.com/v",
    )


def test_another_port_may_be_missing_when_the_url_is_encrypted() -> None:
    candidates = webhook_url_candidates("https://voice.example.com:8443", "/v")
    assert candidates == (
        "https://voice.example.com:8443/v",
        "https://voice.example.com/v",
    )
    candidates = media_url_candidates("wss://[::1]:8443", "/v")
    assert {"wss://[::1]:8443/v", "wss://[::1]/v"} <= set(candidates)


def test_another_port_is_part_of_a_plain_url() -> None:
    candidates = webhook_url_candidates("http://voice.example.com:8080", "/v")
    assert candidates == ("http://voice.example.com:8080/v",)


@pytest.mark.parametrize(
    "signed_url",
    [
        "wss://voice.example.com/twilio/media/t",
        "wss://voice.example.com/twilio/media/t/",
        "wss://voice.example.com:443/twilio/media/t",
        "wss://voice.example.com:443/twilio/media/t/",
    ],
)
def test_a_media_stream_may_be_signed_in_four_ways(signed_url: str) -> None:
    candidates = media_url_candidates("wss://voice.example.com", "/twilio/media/t")
    signature = compute_signature(KEY, signed_url)
    assert signature_matches(signature, keys=["old", KEY], candidates=candidates)


@pytest.mark.parametrize(
    "given", ["", "AAAA", "not base64 é", compute_signature("other", URL)]
)
def test_anything_else_is_refused(given: str) -> None:
    assert not signature_matches(given, keys=[KEY, "second"], candidates=[URL])


def test_one_changed_byte_is_refused() -> None:
    pairs = tuple(PARAMETERS.items())
    signature = compute_signature(KEY, URL, pairs)
    changed = (("CallSid", "CA2"), *pairs[1:])
    assert signature_matches(signature, keys=[KEY], candidates=[URL], parameters=pairs)
    assert not signature_matches(
        signature, keys=[KEY], candidates=[URL], parameters=changed
    )


def test_a_json_body_needs_its_digest_in_the_query() -> None:
    digest = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert body_digest_matches(f"bodySHA256={digest}", b"{}")
    assert not body_digest_matches(f"bodySHA256={digest}", b"{ }")
    assert not body_digest_matches("", b"{}")
    assert not body_digest_matches(f"bodySHA256={digest}&bodySHA256=0", b"{}")
