"""Who is told what by an admin listener."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry, Gauge

from backhaul.admin import admin_application
from backhaul.settings import Secret

Client = TestClient[web.Request, web.Application]

RIGHT = {"Authorization": "Bearer s3cret"}
WRONG = ({"Authorization": "Bearer other"}, {"Authorization": "s3cret"})
VIEWS = {"/readyz": lambda: (503, {"without_stock": ["front-desk"]})}


@pytest_asyncio.fixture
async def client() -> AsyncIterator[Client]:
    registry = CollectorRegistry()
    Gauge("calls", "Calls.", registry=registry).set(3)
    application = admin_application(
        token=Secret("s3cret"), registry=registry, views=VIEWS
    )
    async with TestClient(TestServer(application)) as client:
        yield client


async def ask(
    client: Client, path: str, headers: Mapping[str, str] | None = None
) -> tuple[int, Any]:
    async with client.get(path, headers=headers) as response:
        return response.status, await response.text()


async def test_probes_are_answered_without_a_token_and_tell_no_reason(
    client: Client,
) -> None:
    assert await ask(client, "/livez") == (200, '{"ok": true}')
    assert await ask(client, "/readyz") == (503, '{"ok": false}')


async def test_the_reason_is_for_those_with_the_token(client: Client) -> None:
    status, body = await ask(client, "/readyz", RIGHT)
    assert (status, body) == (503, '{"without_stock": ["front-desk"]}')
    assert "calls 3.0" in (await ask(client, "/metrics", RIGHT))[1]
    assert (await ask(client, "/nothing", RIGHT))[0] == 404


@pytest.mark.parametrize("path", ["/metrics", "/api/x", "/livez/", "/", "/readyz2"])
async def test_everything_else_needs_the_token(client: Client, path: str) -> None:
    assert (await ask(client, path))[0] == 401


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
async def test_a_wrong_token_is_refused_everywhere(client: Client, path: str) -> None:
    for headers in WRONG:
        assert (await ask(client, path, headers))[0] == 401
