from backhaul.core.messages import Presence, PresentEdges
from region_agent.core.edge_roster import EdgeRoster

THERE = Presence(accepting=True)
LEAVING = Presence(accepting=False)
FULL = Presence(accepting=True, room=0)


def test_edges_that_say_they_are_there_are_named_to_each_other() -> None:
    roster = EdgeRoster()
    known = roster.hear("a", THERE, instance="1", rtt_s=0.02, now=0.0)
    assert known == PresentEdges({"a": 0.02})
    known = roster.hear("b", THERE, instance="1", rtt_s=0.08, now=0.1)
    assert known == PresentEdges({"a": 0.02, "b": 0.08})


def test_an_edge_that_falls_silent_is_forgotten() -> None:
    roster = EdgeRoster()
    roster.hear("silent", FULL, instance="1", rtt_s=0.02, now=0.0)
    known = roster.hear("b", THERE, instance="1", rtt_s=0.08, now=1.4)
    assert known == PresentEdges({"silent": 0.02, "b": 0.08}, {"silent": 0})
    known = roster.hear("b", THERE, instance="1", rtt_s=0.08, now=1.5)
    assert known == PresentEdges({"b": 0.08})


def test_an_edge_that_drains_or_is_gone_is_named_no_more() -> None:
    roster = EdgeRoster()
    roster.hear("drains", THERE, instance="1", rtt_s=0.02, now=0.0)
    roster.hear("gone", THERE, instance="1", rtt_s=0.02, now=0.0)
    known = roster.hear("drains", LEAVING, instance="1", rtt_s=0.02, now=0.1)
    assert known == PresentEdges({"gone": 0.02})
    roster.lose("gone", "1")
    roster.lose("gone", "1")
    known = roster.hear("drains", LEAVING, instance="1", rtt_s=0.02, now=0.2)
    assert known == PresentEdges({})


def test_an_edge_without_a_round_trip_is_not_named() -> None:
    known = EdgeRoster().hear("new", THERE, instance="1", rtt_s=None, now=0.0)
    assert known == PresentEdges({})


def test_the_latest_word_of_how_much_room_there_is_counts() -> None:
    roster = EdgeRoster()
    known = roster.hear("a", FULL, instance="1", rtt_s=0.02, now=0.0)
    assert known == PresentEdges({"a": 0.02}, {"a": 0})
    known = roster.hear(
        "a", Presence(accepting=True, room=7), instance="1", rtt_s=0.02, now=0.5
    )
    assert known == PresentEdges({"a": 0.02}, {"a": 7})


def test_an_edge_has_as_much_room_as_all_of_its_processes() -> None:
    roster = EdgeRoster()

    def hear(instance: str, room: int | None, now: float) -> PresentEdges:
        presence = Presence(accepting=True, room=room)
        return roster.hear("a", presence, instance=instance, rtt_s=0.02, now=now)

    assert hear("1", 0, now=0.0) == PresentEdges({"a": 0.02}, {"a": 0})
    assert hear("2", 5, now=0.0) == PresentEdges({"a": 0.02}, {"a": 5})
    assert hear("1", 3, now=1.0) == PresentEdges({"a": 0.02}, {"a": 8})
    assert hear("1", 2, now=1.5) == PresentEdges({"a": 0.02}, {"a": 2})
    assert hear("2", None, now=1.5) == PresentEdges({"a": 0.02})


def test_an_edge_is_there_while_one_of_its_processes_is() -> None:
    roster = EdgeRoster()
    roster.hear("a", THERE, instance="1", rtt_s=0.02, now=0.0)
    roster.hear("a", THERE, instance="2", rtt_s=0.03, now=0.0)
    known = roster.hear("a", LEAVING, instance="1", rtt_s=0.02, now=0.1)
    assert known == PresentEdges({"a": 0.03})
    roster.lose("a", "1")
    known = roster.hear("a", LEAVING, instance="2", rtt_s=0.03, now=0.2)
    assert known == PresentEdges({})


def test_the_latest_round_trip_counts() -> None:
    roster = EdgeRoster()
    roster.hear("a", THERE, instance="1", rtt_s=0.02, now=0.0)
    known = roster.hear("a", THERE, instance="1", rtt_s=0.05, now=0.5)
    assert known == PresentEdges({"a": 0.05})


def test_more_edges_than_an_answer_holds_are_left_out() -> None:
    roster = EdgeRoster()
    for number in range(299):
        roster.hear(f"e{number}", THERE, instance="1", rtt_s=0.02, now=0.0)
    assert (
        len(roster.hear("e299", THERE, instance="1", rtt_s=0.02, now=0.0).rtt_s) == 256
    )
    assert "e0" in roster.hear("e0", THERE, instance="1", rtt_s=0.02, now=0.1).rtt_s
