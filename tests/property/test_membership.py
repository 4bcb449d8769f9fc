"""Whatever peers say and links do: an edge has enough links, and never too many."""

from hypothesis import given
from hypothesis import strategies as st

from backhaul.core.agent_address import is_dialable
from backhaul.core.messages import Member
from edge.core.membership import Membership
from edge.core.membership_events import (
    AddAgent,
    AgentIdentified,
    AgentLost,
    MembershipConfig,
    MembershipEvent,
    MembersReceived,
)
from edge.core.subset import choose_subset

SIZE = 3
HOLD_S = 10.0
CONFIG = MembershipConfig(
    "edge-1", max_agents_per_region=SIZE, hold_s=HOLD_S, silence_s=5.0
)
SEEDS = ("lb:443", "agent-0:443")
AGENTS = tuple(f"agent-{n}:443" for n in range(7))

agent_numbers = st.integers(0, len(AGENTS) - 1)
members = st.builds(
    lambda number, id_number, draining: Member(
        AGENTS[number], f"id-{id_number}", {}, 0, draining
    ),
    agent_numbers,
    agent_numbers,
    st.booleans(),
)
odd_members = st.builds(
    lambda address, agent_id: Member(address, agent_id, {}, 0), st.text(), st.text()
)
snapshots = st.lists(st.one_of(members, members, odd_members), max_size=7)
addresses = st.sampled_from((*AGENTS, "lb:443", "stranger:443"))
events: st.SearchStrategy[MembershipEvent] = st.one_of(
    snapshots.map(lambda listed: MembersReceived("home", tuple(listed))),
    st.builds(
        lambda address, number: AgentIdentified("home", address, f"id-{number}"),
        addresses,
        agent_numbers,
    ),
    addresses.map(lambda address: AgentLost("home", address)),
)
waits = st.sampled_from([0.0, 0.5, 1.0, 4.0, 6.0, 11.0])
histories = st.lists(st.tuples(waits, events), max_size=40)


def live(
    membership: Membership, history: list[tuple[float, MembershipEvent]]
) -> dict[str, bool]:
    """Carry out what is ordered; return what is dialled, and whether it answers."""
    now = 0.0
    dialled: dict[str, bool] = dict.fromkeys(SEEDS, False)
    for wait_s, event in history:
        now += wait_s
        match event:
            case AgentIdentified(_, address, _) | AgentLost(_, address):
                if address in dialled:
                    dialled[address] = isinstance(event, AgentIdentified)
            case _:
                pass
        for action in membership.handle(event, now=now):
            if isinstance(action, AddAgent):
                assert action.address not in dialled
                dialled[action.address] = False
            else:
                del dialled[action.address]
        assert tuple(dialled) == membership.dialled("home")
        assert all(map(is_dialable, dialled))
    return dialled


def begun() -> Membership:
    membership = Membership(CONFIG, {"home": SEEDS})
    membership.begin()
    return membership


@given(histories)
def test_an_order_is_never_given_twice_and_there_is_always_somebody(
    history: list[tuple[float, MembershipEvent]],
) -> None:
    assert live(begun(), history)


@given(histories)
def test_the_same_history_leads_to_the_same_links(
    history: list[tuple[float, MembershipEvent]],
) -> None:
    assert live(begun(), history) == live(begun(), history)


@given(histories)
def test_no_event_asks_for_another_round_of_orders(
    history: list[tuple[float, MembershipEvent]],
) -> None:
    membership = begun()
    dialled = live(membership, history)
    # An event that tells nothing new: what was decided stays.
    stranger = AgentLost("home", "stranger:443")
    assert membership.handle(stranger, now=1e6) == ()
    assert tuple(dialled) == membership.dialled("home")


@given(histories, st.sets(agent_numbers, min_size=1), st.data())
def test_it_settles_on_the_subset_of_those_that_are_there(
    history: list[tuple[float, MembershipEvent]], there: set[int], data: st.DataObject
) -> None:
    membership = begun()
    live(membership, history)
    now = 1e6
    alive = {AGENTS[number]: f"id-{number}" for number in there}
    behind = data.draw(st.sampled_from(sorted(alive.values())))
    snapshot = tuple(Member(one, alive[one], {}, 0) for one in sorted(alive))
    for address in (*AGENTS, "lb:443"):
        membership.handle(AgentLost("home", address), now=now)
    for _ in range(2 * int(HOLD_S)):
        now += 1.0
        membership.handle(MembersReceived("home", snapshot), now=now)
        for address in membership.dialled("home"):
            name = behind if address == "lb:443" else alive.get(address)
            if name is not None:
                membership.handle(AgentIdentified("home", address, name), now=now)
    kept = set(membership.dialled("home"))
    wanted = set(choose_subset("edge-1", alive, size=SIZE))
    # A seed where nobody answers is still tried.
    assert kept - wanted <= {"agent-0:443"} - set(alive)
    assert wanted <= kept


@given(st.sets(addresses, max_size=8), addresses, st.text(), st.integers(1, 8))
def test_a_new_agent_displaces_one_at_most(
    known: set[str], new: str, edge: str, size: int
) -> None:
    before = set(choose_subset(edge, known, size=size))
    after = set(choose_subset(edge, known | {new}, size=size))
    assert after <= before | {new}
    assert len(after) == min(size, len(known | {new}))
