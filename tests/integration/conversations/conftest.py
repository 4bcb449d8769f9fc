"""Gives tests a telephone line of their own."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest_asyncio

from lab.telephone_line import TelephoneLine, open_line

OpenLine = Callable[..., Awaitable[TelephoneLine]]


@pytest_asyncio.fixture(name="answer")
async def _answer(tmp_path: Path) -> AsyncIterator[OpenLine]:
    """Answer a number with the profile that is given."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(profile: str, **options: Any) -> TelephoneLine:
            line = open_line(tmp_path, profile, **options)
            return await stack.enter_async_context(line)

        yield start
