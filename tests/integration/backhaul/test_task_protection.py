"""A task is protected through ECS's own endpoint, which may fail or hang."""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from backhaul.core.task_protection import ProtectionState
from backhaul.http import HttpListener
from backhaul.task_protection import TaskGuard
from tests.integration.conftest import eventually

TASK = "arn:aws:ecs:us-east-1:123456789012:task/warmline-agent/0123456789abcdef"


class EcsAgent:
    """The endpoint that ECS gives every container of a task."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.troubles: deque[str] = deque()
        self.protected = False
        self._closing = asyncio.Event()
        application = web.Application()
        path = "/api/0123/task-protection/v1/state"
        application.router.add_put(path, self._put)
        self._listener = HttpListener(application)

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._listener.port}/api/0123"

    async def start(self) -> None:
        await self._listener.start("127.0.0.1", 0)

    async def aclose(self) -> None:
        self._closing.set()
        await self._listener.aclose()

    async def _put(self, request: web.Request) -> web.Response:
        body = await request.json()
        assert request.content_type == "application/json"
        assert set(body) <= {"ProtectionEnabled", "ExpiresInMinutes"}
        assert 1 <= body.get("ExpiresInMinutes", 1) <= 2880
        self.requests.append(body)
        match self.troubles.popleft() if self.troubles else "":
            case "hang":
                await self._closing.wait()
            case "denied":
                error = {"Arn": TASK, "Code": "AccessDeniedException", "Message": "no"}
                return web.json_response({"error": error}, status=400)
            case "draining":
                failure = {"Arn": TASK, "Detail": None, "Reason": "TASK_NOT_VALID"}
                return web.json_response({"failure": failure})
            case "broken":
                return web.Response(status=500, text="<html>")
            case _:
                pass
        self.protected = body["ProtectionEnabled"]
        state = {
            "ProtectionEnabled": self.protected,
            "ExpirationDate": "2026-11-21T20:00:00Z",
            "TaskArn": TASK,
        }
        return web.json_response({"protection": state})


@pytest_asyncio.fixture
async def ecs() -> AsyncIterator[EcsAgent]:
    ecs = EcsAgent()
    await ecs.start()
    yield ecs
    await ecs.aclose()


class Calls:
    count = 0

    def __call__(self) -> int:
        return self.count


@pytest_asyncio.fixture
async def calls() -> Calls:
    return Calls()


@pytest_asyncio.fixture
async def guard(ecs: EcsAgent, calls: Calls) -> AsyncIterator[TaskGuard]:
    guard = TaskGuard(
        ecs.uri, calls=calls, rng=random.Random(1), look_every_s=0.01, timeout_s=0.2
    )
    guard.start()
    yield guard
    await guard.aclose()


async def test_the_task_is_protected_while_calls_are_live(
    ecs: EcsAgent, calls: Calls, guard: TaskGuard
) -> None:
    await asyncio.sleep(0.05)
    assert ecs.requests == []
    calls.count = 2
    await eventually(lambda: guard.protection.state is ProtectionState.HELD)
    assert ecs.protected
    assert ecs.requests == [{"ProtectionEnabled": True, "ExpiresInMinutes": 30}]
    calls.count = 0
    await eventually(lambda: guard.protection.state is ProtectionState.FREE)
    assert not ecs.protected
    assert ecs.requests[1:] == [{"ProtectionEnabled": False}]


@pytest.mark.parametrize("trouble", ["hang", "denied", "draining", "broken"])
async def test_a_refusal_or_silence_is_asked_again(
    ecs: EcsAgent, calls: Calls, guard: TaskGuard, trouble: str
) -> None:
    ecs.troubles.append(trouble)
    calls.count = 1
    await eventually(lambda: guard.protection.state is ProtectionState.HELD)
    assert len(ecs.requests) == 2


async def test_an_end_with_a_request_under_way_leaves_nothing_behind(
    ecs: EcsAgent, calls: Calls, guard: TaskGuard
) -> None:
    ecs.troubles.append("hang")
    calls.count = 1
    await eventually(lambda: len(ecs.requests) == 1)
    await guard.aclose()


async def test_nobody_listens(calls: Calls) -> None:
    guard = TaskGuard(
        "http://127.0.0.1:9", calls=calls, rng=random.Random(1), look_every_s=0.01
    )
    guard.start()
    calls.count = 1
    await eventually(lambda: guard.protection.state is ProtectionState.RETRYING)
    await guard.aclose()


async def test_outside_of_ecs_nothing_is_done(calls: Calls) -> None:
    guard = TaskGuard("", calls=calls, rng=random.Random(1), look_every_s=0.01)
    guard.start()
    calls.count = 1
    await asyncio.sleep(0.05)
    assert guard.protection.state is ProtectionState.FREE
    await guard.aclose()
