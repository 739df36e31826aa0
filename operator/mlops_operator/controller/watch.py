"""From the API server into the store: list, then watch, for ever.

Ours and not kopf's, for what the store needs and kopf does not tell (see docs/explanation/decisions.md): when a list is
complete, what vanished while nobody watched, and objects one at a time instead of a task and a deep comparison each.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from typing import Final

from mlops_operator.controller.keys import Key
from mlops_operator.controller.kube import Kube, Resource
from mlops_operator.controller.store import Store
from mlops_operator.controller.transport import Gone, KubeError, Object

log = logging.getLogger(__name__)

# A Job with all that the API server adds takes 100 KiB while it is read: more of them at once are not held.
PAGE: Final = 100
WATCH_SECONDS: Final = 120
# The server ends a watch after WATCH_SECONDS: one that is silent for longer is dead, whatever TCP says.
SILENCE_SECONDS: Final = 150.0
PRUNE_SECONDS: Final = 600.0
LAST_BACKOFF_SECONDS: Final = 30.0


class Watcher:
    """Keeps the store's objects of one kind as the API server has them.

    Attributes
    ----------
    synced
        Set once the first list is in the store.
    """

    def __init__(
        self, kube: Kube, resource: Resource, store: Store, wake: Callable[[Iterable[Key]], None]
    ) -> None:
        self._kube = kube
        self._resource = resource
        self._store = store
        self._wake = wake
        self._failures = 0
        self._latest = ""
        self.synced = asyncio.Event()

    @property
    def plural(self) -> str:
        return self._resource.plural

    async def run(self) -> None:
        """List and watch until cancelled; whatever breaks is tried again with back-off."""
        version: str | None = None
        while True:
            try:
                if version is None:
                    version = await self._list()
                    self.synced.set()
                await self._follow(version)
                version = self._latest
                await asyncio.sleep(0.1)  # also where something in between ends watches at once
            except Gone:
                version = None
            except KubeError as error:
                version = version and self._latest
                await self._back_off(error)

    async def prune(self) -> None:
        """Compare with a list without contents from time to time, until cancelled.

        A watch that works makes this idle; an event lost on the way would otherwise stay lost.
        """
        while True:
            await asyncio.sleep(PRUNE_SECONDS * random.uniform(0.9, 1.1))  # noqa: S311 - spreads the load
            try:
                before = self._store.known(self._resource.kind)
                there = await self._uids()
            except KubeError as error:
                log.warning("the %s were not compared with the cluster: %s", self._resource.plural, error)
                continue
            for (namespace, name), uid in before.items():
                if there.get((namespace, name)) != uid:
                    log.warning("%s %s/%s vanished unseen", self._resource.kind, namespace, name)
                    self._wake(self._store.remove(self._resource.kind, namespace, name, uid))

    async def _list(self) -> str:
        """Take in everything; what the store has and the list has not was deleted meanwhile."""
        before = self._store.known(self._resource.kind)
        token: str | None = None
        while True:
            page = await self._kube.list_page(self._resource, continue_token=token, limit=PAGE)
            for obj in page.items:
                self._put(obj)
                metadata = obj["metadata"]
                ident = _ident(metadata)
                if before.get(ident) == metadata["uid"]:
                    del before[ident]
            if page.continue_token is None:
                break
            token = page.continue_token
        for (namespace, name), uid in before.items():
            self._wake(self._store.remove(self._resource.kind, namespace, name, uid))
        self._latest = page.resource_version
        return page.resource_version

    async def _follow(self, version: str) -> None:
        self._latest = version
        events = self._kube.watch(
            self._resource, version, seconds=WATCH_SECONDS, silence_seconds=SILENCE_SECONDS
        )
        async for event in events:
            self._failures = 0
            self._take(event["type"], event["object"])

    def _take(self, kind: str, obj: Object) -> None:
        if kind == "ERROR":
            if obj.get("code") == 410:  # noqa: PLR2004 - HTTP
                raise Gone(str(obj.get("message")), status=410)
            raise KubeError(f"watching {self._resource.plural}: {obj.get('message')}")
        metadata = obj["metadata"]
        self._latest = metadata["resourceVersion"]
        if kind == "DELETED":
            self._wake(self._store.remove(self._resource.kind, *_ident(metadata), metadata["uid"], obj))
        elif kind != "BOOKMARK":
            self._put(obj)

    def _put(self, obj: Object) -> None:
        self._wake(self._store.put(self._resource.kind, obj))

    async def _uids(self) -> dict[tuple[str, str], str]:
        uids: dict[tuple[str, str], str] = {}
        token: str | None = None
        while True:
            page = await self._kube.list_page(
                self._resource, continue_token=token, limit=10 * PAGE, metadata=True
            )
            for item in page.items:
                metadata = item["metadata"]
                uids[_ident(metadata)] = metadata["uid"]
            if page.continue_token is None:
                return uids
            token = page.continue_token

    async def _back_off(self, error: KubeError) -> None:
        seconds = min(0.5 * 2.0 ** min(self._failures, 10), LAST_BACKOFF_SECONDS)
        self._failures += 1
        seconds = max(seconds * random.uniform(0.5, 1.0), error.retry_after_seconds or 0.0)  # noqa: S311
        log.warning("watching %s goes on in %.1f s: %s", self._resource.plural, seconds, error)
        await asyncio.sleep(seconds)


def _ident(metadata: Object) -> tuple[str, str]:
    """Give namespace and name; a namespace itself is in none."""
    return metadata.get("namespace", ""), metadata["name"]
