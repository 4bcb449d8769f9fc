"""What a webhook's address and headers may be."""

import pytest

from backhaul.core.profile import EventFeed
from backhaul.errors import SettingsError
from region_agent.event_sinks import WebhookSink

URL = "https://hooks.example.com/calls"


def test_headers_that_cannot_be_sent_are_named_without_their_values() -> None:
    given = {"Authorization": "Bearer ${TOKEN}", "X-A": "${MISSING}", "X-B": "${SPLIT}"}
    environ = {"TOKEN": "hush", "SPLIT": "hush\nX-C: d"}
    with pytest.raises(SettingsError) as caught:
        WebhookSink(EventFeed(URL, headers=given), environ=environ)
    first, second = caught.value.problems
    assert first.startswith("events.headers.X-A: ")
    assert second.startswith("events.headers.X-B: ")
    assert "hush" not in str(caught.value)


def test_a_url_that_is_none_is_refused_without_being_shown() -> None:
    with pytest.raises(SettingsError) as caught:
        WebhookSink(EventFeed("https://[hush"), environ={})
    assert "hush" not in str(caught.value)
