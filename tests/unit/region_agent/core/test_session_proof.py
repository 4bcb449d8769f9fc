"""When a session is asked for a proof, and when it is doubted."""

import random

import pytest

from region_agent.core.session_proof import ProofPatience, SessionProof


def fresh(patience: ProofPatience | None = None) -> SessionProof:
    return SessionProof(10.0, 2.0, patience or ProofPatience(2.0))


def test_the_next_question_comes_after_4_to_7_tenths_of_the_interval() -> None:
    rng = random.Random(1)
    times = []
    for _ in range(200):
        proof = fresh()
        proof.ask(now=0.0)
        proof.give(now=0.0, rng=rng)
        times.append(proof.next_deadline())
    assert 4.0 <= min(times) < 4.5
    assert 6.5 < max(times) <= 7.0


def test_a_question_is_not_asked_twice() -> None:
    proof = fresh()
    proof.want(now=1.0)
    assert proof.next_deadline() == 1.0
    proof.ask(now=1.0)
    proof.want(now=1.5)
    assert proof.next_deadline() == 3.0
    assert not proof.has_failed(now=2.9)
    assert proof.has_failed(now=3.0)


def test_a_proof_holds_for_the_interval() -> None:
    proof = fresh()
    proof.ask(now=0.0)
    proof.give(now=0.1, rng=random.Random(1))
    assert proof.doubt_at == 10.1
    proof.ask(now=5.0)
    assert proof.doubt_at == 5.0 + proof.patience.limit_s


@pytest.mark.parametrize(
    ("answers_s", "limit_s"),
    [
        ((), 1.0),  # nothing is known yet: half the time
        ((0.01,) * 40, 0.25),  # a busy machine hesitates as well
        ((0.4,) * 40, 0.4),  # the endpoint is far away
        ((5.0,), 2.0),
    ],
)
def test_patience_follows_what_was_measured(
    answers_s: tuple[float, ...], limit_s: float
) -> None:
    patience = ProofPatience(2.0)
    for answer_s in answers_s:
        patience.round_trip.add(answer_s)
    assert patience.limit_s == pytest.approx(limit_s, rel=0.01)


def test_time_in_which_nobody_listened_does_not_count() -> None:
    proof = fresh()
    proof.ask(now=0.0)
    proof.excuse(now=5.0)
    assert not proof.has_failed(now=6.9)
    assert proof.has_failed(now=7.0)
    idle = fresh()
    idle.excuse(now=5.0)
    assert not idle.under_way
