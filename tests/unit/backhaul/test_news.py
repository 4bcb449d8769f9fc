"""What is kept of what happened lately."""

from typing import Any

from backhaul.news import News


def names(told: dict[str, Any]) -> list[str]:
    return [name for _, _, name, _ in told["events"]]


def test_events_and_measurements_are_told_once() -> None:
    news = News()
    news.note("region.state_changed", {"region": "home", "new": "down"})
    news.measured("first_audio", 0.25, "greeting")
    told = news.since(0)
    assert names(told) == ["region.state_changed"]
    assert told["events"][0][3] == {"region": "home", "new": "down"}
    [(number, _, series, value, where)] = told["samples"]
    assert (number, series, value, where) == (2, "first_audio", 0.25, "greeting")
    assert news.since(told["number"]) == {"number": 2, "events": [], "samples": []}


def test_only_what_is_newer_is_told_in_order() -> None:
    news = News()
    for number in range(5):
        news.note("something.happened", {"number": number})
    told = news.since(3)
    assert [facts["number"] for *_, facts in told["events"]] == [3, 4]


def test_chatter_and_bulky_facts_are_left_out() -> None:
    news = News()
    news.note("call.routed", {"region": "home"})
    news.note("call.ended", {"asked": [{"a": 1}], "session_ids": ["x"], "moves": 1})
    news.note("tool.failed", {"reason": "x" * 500, "signs": ["late", "lost"], "no": {}})
    [ended, failed] = news.since(0)["events"]
    assert ended[3]["moves"] == 1
    assert "session_ids" not in ended[3]
    assert len(failed[3]["reason"]) == 200
    assert failed[3]["signs"] == "late, lost"
    assert "no" not in failed[3]


def test_only_the_last_events_are_kept() -> None:
    news = News()
    for number in range(1000):
        news.note("something.happened", {"number": number})
    kept = news.since(0)["events"]
    assert len(kept) == 300
    assert kept[-1][3] == {"number": 999}


def test_lines_of_the_log_are_kept_as_they_go_by() -> None:
    news = News()
    line = {"event": "edge.started", "level": "info", "edge": "edge-1"}
    assert news.log_processor(None, "info", line) is line
    assert news.since(0)["events"][0][2:] == ("edge.started", {"edge": "edge-1"})


def test_a_taker_measures_one_series() -> None:
    news = News()
    news.taker("acquire")(0.001)
    assert news.since(0)["samples"][0][2:4] == ("acquire", 0.001)
    assert news.number == 1
