"""Watching: nothing that was deleted stays, whatever the connection does."""

# ruff: noqa: ARG002, ASYNC110 - fakes have the signatures of what they stand for

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from mlops_operator.controller.keys import Key
from mlops_operator.controller.kube import RUNS, Kube
from mlops_operator.controller.store import Store
from mlops_operator.controller.transport import Object, Unavailable
from mlops_operator.controller.watch import Watcher
from tests.unit.controller import objects


class FakeTransport:
    """Answers lists and watches from a script; a watch at the script's end stays open."""

    def __init__(self, *script: list[Object] | Exception) -> None:
        self.script = list(script)
        self.asked: list[str] = []

    async def request(self, method: str, path: str, **options: Any) -> Object:
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        token = options["query"].get("continue")
        self.asked.append(f"list {token or ''}".strip())
        more = [item for item in step if item.get("continue")]
        items = [item for item in step if not item.get("continue")]
        metadata = {"resourceVersion": "100"} | ({"continue": "more"} if more else {})
        return {"metadata": metadata, "items": items}

    async def stream(self, path: str, query: Any, *, silence_seconds: float) -> AsyncIterator[Object]:
        self.asked.append(f"watch {query['resourceVersion']}")
        if not self.script:
            await asyncio.Event().wait()
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        for event in step:
            yield event


def event(kind: str, obj: Object) -> Object:
    return {"type": kind, "object": obj}


GONE = event("ERROR", {"code": 410, "message": "too old resource version"})


async def follow(transport: FakeTransport, until: Callable[[Store], bool]) -> tuple[Store, list[Key]]:
    store = Store()
    woken: list[Key] = []

    def wake(keys: Iterable[Key]) -> None:
        woken.extend(keys)

    watcher = Watcher(Kube(transport), RUNS, store, wake)
    task = asyncio.create_task(watcher.run())
    async with asyncio.timeout(10):
        while transport.script or not until(store):
            await asyncio.sleep(0.01)
    task.cancel()
    assert watcher.synced.is_set()
    return store, woken


def names(store: Store) -> set[str]:
    return {parent.key.name for parent in store.parents()}


async def test_pages_are_read_to_the_end_and_then_watched() -> None:
    transport = FakeTransport([objects.run("a", uid="a"), {"continue": True}], [objects.run("b", uid="b")])
    store, _ = await follow(transport, lambda store: names(store) == {"a", "b"})
    assert names(store) == {"a", "b"}
    assert transport.asked[:3] == ["list", "list more", "watch 100"]


async def test_deleted_is_never_lost() -> None:
    first, second = objects.run("a", uid="a"), objects.run("b", uid="b", version=5)
    transport = FakeTransport([first], [event("ADDED", second), event("DELETED", objects.run("a", uid="a"))])
    store, woken = await follow(transport, lambda store: names(store) == {"b"})
    assert [key.name for key in woken] == ["a", "b", "a"]
    assert names(store) == {"b"}


async def test_what_vanished_before_a_new_list_is_removed() -> None:
    transport = FakeTransport(
        [objects.run("a", uid="a"), objects.run("b", uid="b")], [GONE], [objects.run("b", uid="b")]
    )
    store, woken = await follow(transport, lambda store: names(store) == {"b"})
    assert [key.name for key in woken] == ["a", "b", "a"]
    assert names(store) == {"b"}


async def test_a_broken_watch_goes_on_where_it_was() -> None:
    bookmark = event("BOOKMARK", {"metadata": {"resourceVersion": "150"}})
    transport = FakeTransport([], [bookmark], Unavailable("reset by peer"), [])
    await follow(transport, lambda _: True)
    assert transport.asked[:4] == ["list", "watch 100", "watch 150", "watch 150"]
