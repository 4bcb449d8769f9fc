"""A task is protected while any of its workers has calls."""

import asyncio
from http import HTTPStatus

from backhaul.workers import Worker
from backhaul.workers_guard import WorkersGuard
from tests.integration.backhaul.test_task_protection import EcsAgent
from tests.integration.conftest import eventually


class Told:
    """What the workers say of themselves."""

    def __init__(self) -> None:
        self.calls = {0: 0, 1: 0}
        self.status = HTTPStatus.OK

    async def ask(self, worker: Worker, path: str) -> tuple[int, str]:
        assert path == "/api/pool"
        return self.status, f'{{"active_calls": {self.calls[worker.number]}, "x": 1}}'


async def test_the_calls_of_all_workers_count_and_silence_is_not_idle() -> None:
    ecs, told = EcsAgent(), Told()
    await ecs.start()
    workers = [Worker(number, announced={}) for number in range(2)]
    guard = WorkersGuard(
        workers, ask=told.ask, path="/api/pool", agent_uri=ecs.uri, every_s=0.01
    )
    guard.start()
    told.calls[1] = 3
    await eventually(lambda: ecs.protected)
    told.status, told.calls[1] = HTTPStatus.SERVICE_UNAVAILABLE, 0
    await asyncio.sleep(0.1)
    assert guard.calls == 3
    workers[1].announced = None  # it is gone, and its calls with it
    await eventually(lambda: guard.calls == 0)
    await eventually(lambda: not ecs.protected)
    await guard.aclose()
    await ecs.aclose()


async def test_without_an_ecs_nobody_is_asked() -> None:
    told = Told()
    told.calls[0] = 5
    worker = Worker(0, announced={})
    guard = WorkersGuard([worker], ask=told.ask, path="/api/pool", agent_uri="")
    guard.start()
    await asyncio.sleep(0.05)
    assert guard.calls == 0
    await guard.aclose()
