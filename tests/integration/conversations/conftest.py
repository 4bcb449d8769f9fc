"""Gives tests a telephone line of their own."""

import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest_asyncio

from lab.telephone_line import TelephoneLine, open_line

OpenLine = Callable[..., Awaitable[TelephoneLine]]


@pytest_asyncio.fixture(name="answer")
async def _answer(tmp_path: Path) -> AsyncIterator[OpenLine]:
    """Answer a number with the profile that is given."""
    numbers = itertools.count()
    async with contextlib.AsyncExitStack() as stack:

        async def start(profile: str, **options: Any) -> TelephoneLine:
            directory = tmp_path / str(next(numbers))
            directory.mkdir()
            line = open_line(directory, profile, **options)
            return await stack.enter_async_context(line)

        yield start
