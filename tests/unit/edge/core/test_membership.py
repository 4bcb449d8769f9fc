"""Which agents an edge keeps links to, told as scripts."""

import pytest

from backhaul.core.messages import Member
from edge.core.membership import Membership
from edge.core.membership_events import (
    AddAgent,
    AgentIdentified,
    AgentLost,
    MembershipAction,
    MembershipConfig,
    MembershipEvent,
    MembersReceived,
    RemoveAgent,
)
from edge.core.subset import choose_subset

CONFIG = MembershipConfig("edge-1", max_agents_per_region=2, hold_s=10.0, silence_s=5.0)
Step = tuple[float, MembershipEvent, list[MembershipAction]]


def a(number: int) -> str:
    """Return the own address of an agent."""
    return f"10.0.0.{number}:7443"


def member(number: int, *, draining: bool = False) -> Member:
    return Member(a(number), f"home-{number}", {"desk": 2}, 0, draining)


def named(*members: Member | int) -> MembersReceived:
    listed = (one if isinstance(one, Member) else member(one) for one in members)
    return MembersReceived("home", tuple(listed))


def ready(address: str, number: int) -> AgentIdentified:
    return AgentIdentified("home", address, f"home-{number}")


def lost(address: str) -> AgentLost:
    return AgentLost("home", address)


def add(address: str) -> AddAgent:
    return AddAgent("home", address)


def remove(address: str) -> RemoveAgent:
    return RemoveAgent("home", address)


def begun(*seeds: str, config: MembershipConfig = CONFIG) -> Membership:
    membership = Membership(config, {"home": seeds})
    assert membership.begin() == tuple(add(seed) for seed in seeds)
    return membership


def play(membership: Membership, *steps: Step) -> None:
    for number, (now, event, actions) in enumerate(steps):
        assert list(membership.handle(event, now=now)) == actions, f"step {number}"
        assert membership.next_deadline() is None
        assert membership.expire(now=now) == ()


def test_the_seeds_of_every_region_come_first() -> None:
    membership = Membership(CONFIG, {"home": [a(1), a(1)], "away": [a(2)], "none": []})
    assert membership.begin() == (AddAgent("home", a(1)), AddAgent("away", a(2)))
    assert membership.dialled("home") == (a(1),)
    assert membership.dialled("none") == ()


def test_members_join_the_seeds_once_each() -> None:
    play(
        begun(a(1)),
        (1.0, ready(a(1), 1), []),
        (2.0, named(1, 2), [add(a(2))]),
        (3.0, named(1, 2), []),
    )


def test_a_region_that_is_not_configured_is_ignored() -> None:
    play(begun(a(1)), (1.0, MembersReceived("mars", (member(2),)), []))


def test_a_member_is_forgotten_after_long_absence() -> None:
    play(
        begun(a(1)),
        (0.0, ready(a(1), 1), []),
        (1.0, named(1, 2), [add(a(2))]),
        (5.0, named(1), []),
        (10.0, named(1), []),
        (14.9, named(1), []),
        (15.0, named(1), [remove(a(2))]),
    )


def test_a_single_snapshot_that_lacks_it_harms_nobody() -> None:
    play(
        begun(a(1)),
        (0.0, ready(a(1), 1), []),
        (1.0, named(1, 2), [add(a(2))]),
        (5.0, named(), []),
        (10.0, named(1, 2), []),
        (15.0, named(1), []),
        (20.0, named(1), []),
        (24.0, named(1), []),
        (25.0, named(1), [remove(a(2))]),
    )


def test_who_stands_in_any_of_two_snapshots_is_there() -> None:
    steps: list[Step] = [(0.0, named(1, 2), [add(a(2))])]
    for second in range(1, 60):
        steps += [(second, named(1), []), (second + 0.5, named(2), [])]
    play(begun(a(1)), *steps)


def test_silence_proves_nothing() -> None:
    play(
        begun(a(1)),
        (0.0, ready(a(1), 1), []),
        (1.0, named(1, 2), [add(a(2))]),
        (2.0, named(1), []),
        # The store was away, and comes back empty: what it lacks is found out anew.
        (3600.0, named(1), []),
        (3605.0, named(1), []),
        (3609.0, named(1), []),
        (3610.0, named(1), [remove(a(2))]),
    )


def test_who_answers_is_there_whatever_a_snapshot_lacks() -> None:
    play(
        begun(a(1)),
        (0.0, ready(a(1), 1), []),
        (1.0, named(1, 2), [add(a(2))]),
        (1.5, ready(a(2), 2), []),
        (2.0, named(1), []),
        (7.0, named(1), []),
        (12.0, named(1), []),
        (13.0, lost(a(2)), []),
        (14.0, named(1), [remove(a(2))]),
    )


def test_seeds_stay_when_every_member_is_forgotten() -> None:
    play(
        begun(a(1), a(9)),
        (0.0, named(1), []),
        (5.0, named(), []),
        (10.0, named(), []),
        (15.0, named(), []),
        (20.0, ready(a(9), 9), []),
    )


def test_an_agent_is_reached_by_its_own_address_once_it_answers_there() -> None:
    play(
        begun("agents.example:443"),
        (0.0, ready("agents.example:443", 1), []),
        (1.0, named(1), [add(a(1))]),
        (2.0, ready(a(1), 1), [remove("agents.example:443")]),
        (3.0, named(1), []),
        # Its own way fails: there was another one.
        (4.0, lost(a(1)), [add("agents.example:443")]),
        (5.0, ready("agents.example:443", 1), []),
        (6.0, ready(a(1), 1), [remove("agents.example:443")]),
    )


def test_a_seed_stays_while_somebody_else_answers_at_the_own_address() -> None:
    play(
        begun("agents.example:443"),
        (0.0, ready("agents.example:443", 1), []),
        (1.0, named(1), [add(a(1))]),
        (2.0, ready(a(1), 5), []),
    )


def test_a_seed_whose_agent_has_no_own_address_stays() -> None:
    unadvertised = Member("", "home-1", {}, 0)
    membership = begun("relay.example:443", "dead.example:443")
    play(
        membership,
        (0.0, ready("relay.example:443", 1), []),
        (1.0, named(unadvertised, 2), [add(a(2))]),
        (2.0, ready(a(2), 2), []),
        (3.0, named(unadvertised, 2), []),
    )
    assert membership.counters.members_refused == 0


def test_the_own_address_that_answers_counts_among_several() -> None:
    moved = Member("10.0.0.77:7443", "home-1", {}, 0)
    play(
        begun("lb:443"),
        (0.0, ready("lb:443", 1), []),
        (1.0, named(1), [add(a(1))]),
        (2.0, named(moved), [add("10.0.0.77:7443")]),
        (3.0, ready("10.0.0.77:7443", 1), [remove("lb:443")]),
    )


def subset(*numbers: int) -> list[str]:
    return list(choose_subset("edge-1", map(a, numbers), size=2))


def number_of(address: str) -> int:
    return int(address.split(":", maxsplit=1)[0].rsplit(".", maxsplit=1)[-1])


def test_a_large_region_is_linked_in_part() -> None:
    first, second = subset(1, 2, 3, 4, 5)
    play(begun(), (0.0, named(1, 2, 3, 4, 5), [add(first), add(second)]))


def test_a_seed_outside_the_subset_goes_when_the_subset_is_reached() -> None:
    first, second = subset(*range(1, 6))
    outside = next(n for n in range(1, 6) if a(n) not in {first, second})
    for seed in ("lb:443", a(outside)):
        play(
            begun(seed),
            (0.0, ready(seed, outside), []),
            (1.0, named(*range(1, 6)), [add(first), add(second)]),
            (2.0, ready(first, number_of(first)), []),
            (3.0, ready(second, number_of(second)), [remove(seed)]),
            # One that is reached will tell of others; without any, seeds must.
            (4.0, lost(first), []),
            (5.0, lost(second), [add(seed)]),
            (6.0, ready(first, number_of(first)), []),
            (7.0, ready(second, number_of(second)), [remove(seed)]),
        )


def test_who_leaves_the_subset_stays_until_it_is_reached_whole() -> None:
    everyone = range(1, 6)
    best, second = subset(*everyone)
    others = [n for n in everyone if a(n) != best]
    _, displaced = subset(*others)
    assert displaced not in {best, second}
    play(
        begun(),
        (0.0, named(*others), [add(second), add(displaced)]),
        (1.0, ready(second, number_of(second)), []),
        (2.0, ready(displaced, number_of(displaced)), []),
        (3.0, named(*everyone), [add(best)]),
        (4.0, named(*everyone), []),
        (5.0, ready(best, number_of(best)), [remove(displaced)]),
        # What still passes over links that were given up changes nothing.
        (6.0, ready(displaced, number_of(displaced)), []),
        (7.0, lost(displaced), []),
    )


def test_who_leaves_the_subset_without_a_link_goes_at_once() -> None:
    everyone = range(1, 6)
    best, second = subset(*everyone)
    others = [n for n in everyone if a(n) != best]
    _, displaced = subset(*others)
    play(
        begun(),
        (0.0, named(*others), [add(second), add(displaced)]),
        (1.0, named(*everyone), [add(best), remove(displaced)]),
    )


def test_one_that_stands_in_is_enough_for_one_that_is_missing() -> None:
    everyone = range(1, 6)
    ranked = choose_subset("edge-1", map(a, everyone), size=5)
    best, second, third, fourth, _ = ranked
    late = [number_of(address) for address in (third, fourth)]
    play(
        begun(),
        (0.0, named(*late), [add(third), add(fourth)]),
        (1.0, ready(third, late[0]), []),
        (2.0, ready(fourth, late[1]), []),
        (3.0, named(*everyone), [add(best), add(second)]),
        (4.0, ready(second, number_of(second)), [remove(fourth)]),
        (5.0, ready(best, number_of(best)), [remove(third)]),
    )


def test_who_drains_is_kept_beside_the_subset_and_never_dialled_anew() -> None:
    first, second = (number_of(one) for one in subset(1, 2, 3))
    third = ({1, 2, 3} - {first, second}).pop()
    drains = member(first, draining=True)
    play(
        begun(),
        (0.0, named(member(9, draining=True)), []),
        (1.0, named(1, 2, 3), [add(a(first)), add(a(second))]),
        (2.0, ready(a(first), first), []),
        (3.0, ready(a(second), second), []),
        (4.0, named(drains, second, third), [add(a(third))]),
        (5.0, ready(a(third), third), []),
        (6.0, lost(a(first)), []),
        (8.0, named(second, third), []),
        (13.0, named(second, third), []),
        (18.0, named(second, third), [remove(a(first))]),
    )


def test_seeds_are_dialled_while_all_members_drain() -> None:
    drains = member(1, draining=True)
    play(
        begun("lb:443"),
        (0.0, ready("lb:443", 1), []),
        (1.0, named(drains), []),
        (2.0, named(1), [add(a(1))]),
        (3.0, ready(a(1), 1), [remove("lb:443")]),
        # Who drains is still reached by its own address: no second way is needed.
        (4.0, named(drains), []),
        (5.0, lost(a(1)), [add("lb:443")]),
    )


@pytest.mark.parametrize(
    ("address", "agent_id"),
    [
        ("10.0.0.1", "home-1"),
        ("user@host:443", "home-1"),
        ("0.0.0.0:7443", "home-1"),
        ("x" * 300 + ":443", "home-1"),
        (a(1), ""),
        (a(1), "line\nbreak"),
        (a(1), "x" * 129),
    ],
)
def test_what_peers_say_is_checked(address: str, agent_id: str) -> None:
    membership = begun()
    bad = Member(address, agent_id, {}, 0)
    play(membership, (0.0, named(bad, 2), [add(a(2))]))
    assert membership.counters.members_refused == 1


def test_no_region_gets_an_address_of_another() -> None:
    membership = Membership(CONFIG, {"home": [a(1)], "away": ["lb:443"]})
    membership.begin()
    snapshots = MembersReceived("away", (member(1), member(2), member(3)))
    play(
        membership,
        (0.0, named(1, 2), [add(a(2))]),
        (1.0, snapshots, [AddAgent("away", a(3))]),
    )
    assert membership.counters.members_refused == 2


def test_what_is_remembered_is_bounded() -> None:
    config = MembershipConfig("edge-1", max_agents_per_region=1000)
    membership = begun(config=config)
    many = [Member(f"agent-{n}:443", f"id-{n}", {}, 0) for n in range(300)]
    membership.handle(MembersReceived("home", tuple(many[:200])), now=0.0)
    membership.handle(MembersReceived("home", tuple(many[100:300])), now=1.0)
    assert len(membership.dialled("home")) == 256
    assert membership.counters.members_beyond_limit == 44
    membership.handle(MembersReceived("home", tuple(many)), now=2.0)
    assert membership.counters.members_beyond_limit == 44 + 44
    assert membership.counters.snapshots == 3
    assert membership.counters.added == 256
    assert membership.counters.removed == 0
