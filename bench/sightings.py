"""When objects were first seen, by a clock of our own: creation times are whole seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from hack.cluster.errors import ClusterError
from mlops_operator.controller.kube import Resource
from mlops_operator.controller.transport import JSON, METADATA, HttpTransport, Object

WATCH_SECONDS = 1800


@dataclass
class Sightings:
    """When each object of a namespace was first seen to fulfil something (``time.monotonic``), by name."""

    at: dict[str, float] = field(default_factory=dict)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def saw(self, name: str) -> None:
        """Note an object, unless it was noted before."""
        if name not in self.at:
            self.at[name] = time.monotonic()
            self._news.set()

    async def until(self, names: Collection[str], what: str, timeout_seconds: float) -> None:
        """Wait until all of these were seen.

        Raises
        ------
        ClusterError
            They were not in time.
        """
        missing = set(names)
        try:
            async with asyncio.timeout(timeout_seconds):
                while missing := missing.difference(self.at):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise ClusterError(
                f"Saw only {len(names) - len(missing)} of {len(names)} {what} in {timeout_seconds:.0f} s."
            ) from None


def _any(_: Object) -> bool:
    return True


@asynccontextmanager
async def watching(
    api: HttpTransport, resource: Resource, namespace: str, fulfils: Callable[[Object], bool] = _any
) -> AsyncIterator[Sightings]:
    """Watch a namespace. Without a condition only metadata is asked for, so that the watch itself costs little."""
    accept = METADATA if fulfils is _any else JSON
    first = await api.request("GET", resource.path(namespace), query={"limit": "1"})
    sightings = Sightings()

    async def follow() -> None:
        query = {
            "watch": "true",
            "resourceVersion": first["metadata"]["resourceVersion"],
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        events = api.stream(resource.path(namespace), query, silence_seconds=WATCH_SECONDS, accept=accept)
        async for event in events:
            if event["type"] == "ERROR":
                raise ClusterError(f"The watch on {resource.plural} broke: {event['object'].get('message')}")
            if fulfils(event["object"]):
                sightings.saw(event["object"]["metadata"]["name"])

    watch = asyncio.create_task(follow())
    try:
        yield sightings
    finally:
        watch.cancel()
        # A broken watch shows as sightings that are missing; why it broke is said beside that.
        (outcome,) = await asyncio.gather(watch, return_exceptions=True)
        if isinstance(outcome, Exception):
            raise outcome
