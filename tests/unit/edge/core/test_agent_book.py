"""What an edge knows of an agent, its own leases taken off."""

from edge.core.agent_book import AgentBook
from edge.core.routes import RouteReason
from tests.unit.router_fleet import DESK, stock


def book(warm: int = 3, *, active: int = 0, most: int = 50) -> AgentBook:
    agent = AgentBook("a:1")
    agent.up = True
    agent.set_stock(stock(warm, active=active, most=most))
    return agent


def test_nothing_is_to_be_had_of_an_agent_that_has_said_nothing() -> None:
    agent = AgentBook("a:1")
    agent.up = True
    assert agent.blocked(DESK) is RouteReason.DOWN
    assert (agent.free(DESK), agent.room, agent.calls) == (0, 0, 0)
    assert agent.stock is None


def test_leases_are_taken_off_until_a_snapshot_that_knows_of_them() -> None:
    agent = book(3)
    for _ in range(2):
        agent.ask(DESK, warm=True)
    assert (agent.free(DESK), agent.calls) == (1, 2)
    agent.settle(DESK, warm=True, granted=True)
    assert (agent.free(DESK), agent.calls) == (1, 2)
    agent.set_stock(stock(2))
    assert (agent.free(DESK), agent.calls) == (1, 1)  # one is not answered yet
    agent.settle(DESK, warm=True, granted=False)
    assert (agent.free(DESK), agent.calls) == (2, 0)


def test_a_cold_session_takes_room_and_no_stock() -> None:
    agent = book(0, active=48)
    agent.ask(DESK, warm=False)
    assert agent.room == 1
    agent.settle(DESK, warm=False, granted=True)
    assert (agent.room, agent.free(DESK)) == (1, 0)
    agent.ask(DESK, warm=False)
    assert agent.blocked(DESK) is RouteReason.FULL


def test_what_was_refused_for_want_of_stock_is_not_asked_for_again() -> None:
    agent = book(3)
    agent.ask(DESK, warm=True)
    agent.settle(DESK, warm=True, granted=False, spent=True)
    assert agent.free(DESK) == 0
    assert agent.blocked(DESK) is None
    agent.set_stock(stock(1))
    assert agent.free(DESK) == 1


def test_a_refusal_closes_an_agent_until_its_next_snapshot() -> None:
    agent = book(3)
    agent.close(RouteReason.FULL)
    assert agent.blocked(DESK) is RouteReason.FULL
    agent.set_stock(stock(3))
    assert agent.blocked(DESK) is None


def test_an_answer_to_what_was_asked_before_it_was_forgotten_changes_nothing() -> None:
    agent = book(3)
    agent.settle(DESK, warm=True, granted=True)
    assert (agent.free(DESK), agent.calls) == (3, 0)


def test_stock_never_falls_below_nothing() -> None:
    agent = book(1)
    for _ in range(3):
        agent.ask(DESK, warm=True)
    assert agent.free(DESK) == 0
