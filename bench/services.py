"""What benches read of a fabric's services while they run."""

from collections.abc import Mapping
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

__all__ = ["read_metrics"]


async def read_metrics(service: Mapping[str, Any]) -> dict[str, float]:
    """Return the samples of an edge or agent, by their name and labels.

    Args:
        service: As `Fabric.describe` has it.
    """
    headers = {"Authorization": f"Bearer {service['admin_token']}"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.get(f"{service['admin_url']}/metrics") as response,
    ):
        text = await response.text()
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = sorted(sample.labels.items())
            key = " ".join((sample.name, *(f"{k}={v}" for k, v in labels)))
            found[key] = found.get(key, 0.0) + sample.value
    return found
