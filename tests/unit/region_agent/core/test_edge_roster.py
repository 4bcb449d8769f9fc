from region_agent.core.edge_roster import EdgeRoster


def test_edges_that_say_they_are_there_are_named_to_each_other() -> None:
    roster = EdgeRoster()
    assert roster.hear("a", accepting=True, rtt_s=0.02, now=0.0) == {"a": 0.02}
    known = roster.hear("b", accepting=True, rtt_s=0.08, now=0.1)
    assert known == {"a": 0.02, "b": 0.08}


def test_an_edge_that_falls_silent_is_forgotten() -> None:
    roster = EdgeRoster()
    roster.hear("silent", accepting=True, rtt_s=0.02, now=0.0)
    assert "silent" in roster.hear("b", accepting=True, rtt_s=0.08, now=1.4)
    assert "silent" not in roster.hear("b", accepting=True, rtt_s=0.08, now=1.5)


def test_an_edge_that_drains_or_is_gone_is_named_no_more() -> None:
    roster = EdgeRoster()
    roster.hear("drains", accepting=True, rtt_s=0.02, now=0.0)
    roster.hear("gone", accepting=True, rtt_s=0.02, now=0.0)
    assert roster.hear("drains", accepting=False, rtt_s=0.02, now=0.1) == {"gone": 0.02}
    roster.lose("gone")
    roster.lose("gone")
    assert roster.hear("drains", accepting=False, rtt_s=0.02, now=0.2) == {}


def test_the_latest_round_trip_counts() -> None:
    roster = EdgeRoster()
    roster.hear("a", accepting=True, rtt_s=0.02, now=0.0)
    assert roster.hear("a", accepting=True, rtt_s=0.05, now=0.5) == {"a": 0.05}


def test_more_edges_than_an_answer_holds_are_left_out() -> None:
    roster = EdgeRoster()
    for number in range(299):
        roster.hear(f"e{number}", accepting=True, rtt_s=0.02, now=0.0)
    assert len(roster.hear("e299", accepting=True, rtt_s=0.02, now=0.0)) == 256
    assert "e0" in roster.hear("e0", accepting=True, rtt_s=0.02, now=0.1)
