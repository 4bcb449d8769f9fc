"""Whatever calls do and ECS answers: live calls are looked after, and so is the end."""

import random

from hypothesis import given
from hypothesis import strategies as st

from backhaul.core.task_protection import (
    PROTECTION_S,
    ProtectionEvent,
    ProtectionState,
    SetProtection,
    TaskProtection,
)


class Task:
    """ECS as it is: protection that runs out, answers that come late or not."""

    def __init__(self, seed: int) -> None:
        self.protection = TaskProtection(rng=random.Random(seed))
        self.now = 0.0
        self.busy = False
        self.protected_until = 0.0
        self.asked: SetProtection | None = None

    def do(self, actions: tuple[SetProtection, ...]) -> None:
        for action in actions:
            assert self.asked is None, "one request at a time"
            self.asked = action

    def feed(self, event: ProtectionEvent) -> None:
        self.do(self.protection.handle(event, now=self.now))

    def toggle(self) -> None:
        self.busy = not self.busy
        came, ended = ProtectionEvent.CALLS_CAME, ProtectionEvent.CALLS_ENDED
        self.feed(came if self.busy else ended)

    def answer(self, *, applied: bool, told: bool) -> None:
        if self.asked is None:
            return
        if applied:
            self.protected_until = (
                self.now + PROTECTION_S if self.asked.protected else self.now
            )
        self.asked = None
        confirmed = applied and told
        self.feed(ProtectionEvent.CONFIRMED if confirmed else ProtectionEvent.FAILED)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.do(self.protection.expire(now=self.now))

    def settle(self) -> None:
        """ECS answers well from now on."""
        for _ in range(6):
            self.answer(applied=True, told=True)
            deadline = self.protection.next_deadline()
            if deadline is not None and deadline - self.now < PROTECTION_S / 4:
                self.pass_time(max(deadline - self.now, 0))


@given(
    seed=st.integers(0, 99),
    steps=st.lists(
        st.one_of(
            st.just(("toggle", 0.0, True)),
            st.tuples(st.just("pass"), st.floats(0, 2 * PROTECTION_S), st.just(True)),
            st.tuples(st.just("answer"), st.sampled_from([0.0, 1.0]), st.booleans()),
        ),
        max_size=40,
    ),
)
def test_calls_end_up_protected_and_no_calls_free(
    seed: int, steps: list[tuple[str, float, bool]]
) -> None:
    task = Task(seed)
    for kind, number, flag in steps:
        match kind:
            case "toggle":
                task.toggle()
            case "pass":
                task.pass_time(number)
            case _:
                task.answer(applied=bool(number), told=flag)
        waiting = task.asked is not None or task.protection.next_deadline() is not None
        assert waiting or task.protection.state is ProtectionState.FREE
    task.settle()
    assert (task.protected_until > task.now) is task.busy
