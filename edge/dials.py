"""Turns at dialling: carries out what the dial budget grants."""

import asyncio
import itertools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from edge.core.dial_budget import DialBudget

__all__ = ["Dials"]


class Dials:
    """Lets at most so many dials be under way at once, over all agents.

    Attributes:
        budget: How many are, and how many wait.
    """

    def __init__(self, limit: int) -> None:
        self.budget = DialBudget(limit)
        self._numbers = itertools.count(1)
        self._turns: dict[int, asyncio.Event] = {}

    @asynccontextmanager
    async def turn(self, *, retry: bool) -> AsyncGenerator[None]:
        """Wait for a turn at dialling, and take it until the context ends.

        Args:
            retry: Whether the last dial to the same peer failed.
        """
        number = next(self._numbers)
        turn = self._turns[number] = asyncio.Event()
        try:
            self._begin(self.budget.ask(number, retry=retry))
            await turn.wait()
            yield
        finally:
            del self._turns[number]
            self._begin(self.budget.end(number))

    def _begin(self, granted: tuple[int, ...]) -> None:
        for number in granted:
            self._turns[number].set()
