"""Many requests at once, as many at a time as asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from mlops_operator.controller.kube import Resource
from mlops_operator.controller.transport import METADATA, HttpTransport, Object

_T = TypeVar("_T")


async def for_each(items: Iterable[_T], work: Callable[[_T], Awaitable[object]], concurrency: int) -> None:
    """Do work for each item, at most ``concurrency`` at a time.

    Raises
    ------
    Exception
        The first failure; what has not begun by then is left out.
    """
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(worker())


async def post_all(
    api: HttpTransport, resource: Resource, bodies: list[Object], concurrency: int
) -> dict[str, float]:
    """Create objects; gives when each POST was sent (``time.monotonic``), by name."""
    sent: dict[str, float] = {}

    async def post(body: Object) -> None:
        metadata = body["metadata"]
        sent[metadata["name"]] = time.monotonic()
        await api.request("POST", resource.path(metadata["namespace"]), body=body, accept=METADATA)

    await for_each(bodies, post, concurrency)
    return sent
